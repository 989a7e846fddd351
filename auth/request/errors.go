package request

import (
	"errors"
	"time"
)

var (
	// ErrUnauthenticated is wrapped by every *Error. Its HTTP status is 401.
	ErrUnauthenticated = errors.New("request authentication failed")
	// ErrReplayed is returned by a NonceStore for a nonce that was used.
	ErrReplayed = errors.New("nonce was used before")
	// ErrForgotten is returned by a NonceStore for a nonce that it may have forgotten, because the
	// clock has stepped back.
	ErrForgotten = errors.New("nonce may have been forgotten")
	// ErrNoncesFull means that a NonceStore has no room. Its HTTP status is 503. See FullError.
	ErrNoncesFull = errors.New("nonce memory is full")
	// ErrBusy means that too many requests wait for a verification. Its HTTP status is 503.
	ErrBusy = errors.New("too many requests wait to be authenticated, try again in a second")
)

// Kind classifies why a request was not authenticated.
type Kind uint8

// The kinds of Error.
const (
	Missing   Kind = iota + 1 // a header is missing
	Malformed                 // a header occurs twice or has a wrong format
	Stale                     // the timestamp is outside of the window, or before the server's start
	Replayed                  // the nonce was used before
	Signature                 // the signature does not verify
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

// Error reports why a request was not authenticated. Its text is fixed for each reason and has
// nothing from the request, so a server may send it to the client (remote/PROTOCOL.md 3.4).
type Error struct {
	Kind   Kind
	Reason string // a text of remote/PROTOCOL.md 3.4
}

// Error implements error.
func (e *Error) Error() string { return ErrUnauthenticated.Error() + ": " + e.Reason }

// Unwrap returns ErrUnauthenticated.
func (e *Error) Unwrap() error { return ErrUnauthenticated }

// FullError is ErrNoncesFull with the time after which a NonceStore has room again.
type FullError struct{ RetryAfter time.Duration }

// Error implements error.
func (e *FullError) Error() string {
	return ErrNoncesFull.Error() + ", try again in " + e.RetryAfter.String()
}

// Unwrap returns ErrNoncesFull.
func (e *FullError) Unwrap() error { return ErrNoncesFull }
