package request

import (
	"errors"
	"time"
)

var (
	// ErrUnauthenticated is what every *Error is: HTTP 401.
	ErrUnauthenticated = errors.New("request authentication failed")
	// ErrReplayed is a NonceStore's answer for a nonce that it remembers.
	ErrReplayed = errors.New("nonce was used before")
	// ErrForgotten is a NonceStore's answer where it may have known the nonce and forgotten it,
	// because the clock has stepped back.
	ErrForgotten = errors.New("nonce may have been forgotten")
	// ErrNoncesFull means that no more nonces can be remembered for now: HTTP 503. See FullError.
	ErrNoncesFull = errors.New("nonce memory is full")
	// ErrBusy means that too many requests wait for their signature to be verified: HTTP 503.
	ErrBusy = errors.New("too many requests wait to be authenticated, try again in a second")
)

// Kind is why a request was not authenticated.
type Kind uint8

// The kinds of Error.
const (
	Missing   Kind = iota + 1 // a header is not there
	Malformed                 // a header is there twice, or is not what it should be
	Stale                     // the timestamp is too far from now, or from before the server's start
	Replayed                  // the same request came before
	Signature                 // the signature is not the identity's over this request
)

// String returns the kind's name in lower case.
func (k Kind) String() string {
	switch k {
	case Missing:
		return "missing"
	case Malformed:
		return "malformed"
	case Stale:
		return "stale"
	case Replayed:
		return "replayed"
	case Signature:
		return "signature"
	}
	return "unknown"
}

// Error says why a request is not authenticated. Its text is fixed for each reason and repeats
// nothing of the request, so it may be sent back as it is (remote/PROTOCOL.md 3.4).
type Error struct {
	Kind   Kind
	Reason string // as remote/PROTOCOL.md 3.4 words it
}

// Error implements error.
func (e *Error) Error() string { return ErrUnauthenticated.Error() + ": " + e.Reason }

// Unwrap returns ErrUnauthenticated.
func (e *Error) Unwrap() error { return ErrUnauthenticated }

// FullError is ErrNoncesFull with the time after which some room will have come free.
type FullError struct{ RetryAfter time.Duration }

// Error implements error.
func (e *FullError) Error() string {
	return ErrNoncesFull.Error() + ", try again in " + e.RetryAfter.String()
}

// Unwrap returns ErrNoncesFull.
func (e *FullError) Unwrap() error { return ErrNoncesFull }
