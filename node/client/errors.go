package client

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/capsule"
)

// Errors of this package. Other errors are those that a [StatusError] matches, and those of package
// capsule for answers that do not verify: capsule.ErrUntrusted, ErrPath, ErrContentMismatch,
// ErrManifest and ErrProof.
var (
	// ErrBadURL: the URL of a node is malformed.
	ErrBadURL = errors.New("malformed URL of a node")
	// ErrInsecure: an address may not be dialled, or a credential would be sent over plain HTTP.
	ErrInsecure = errors.New("insecure connection")
	// ErrConnection: a request or an answer was not transferred completely.
	ErrConnection = errors.New("connection failed")
	// ErrTooSlow: no byte of a body was transferred for 60 seconds, or an answer was slower than
	// Options.MinRate. Errors that match it also match ErrConnection.
	ErrTooSlow = errors.New("transfer is too slow")
	// ErrProtocol: an answer does not follow the protocol: a redirect, an encoded body, a body that
	// does not decode or is too long, a missing or malformed header.
	ErrProtocol = errors.New("answer is not of the node API")
	// ErrRedirect: the answer is a redirect, which is not followed. It wraps ErrProtocol.
	ErrRedirect = fmt.Errorf("%w: redirect", ErrProtocol)

	// ErrDeclined: the policy of the node declined a push. See DeclinedError.
	ErrDeclined = errors.New("push declined by the policy of the node")
	// ErrConflict: the head at the node is not the parent of the push.
	ErrConflict = errors.New("another root is the head at the node")
	// ErrStale: the node has a later generation than the push.
	ErrStale = errors.New("the node has a later generation")
	// ErrTooLarge: the body is too large for the node.
	ErrTooLarge = errors.New("body too large for the node")
	// ErrNoSpace: the node or the credential has no room for a push.
	ErrNoSpace = errors.New("no space at the node")
	// ErrRateLimited: the caller has sent too many requests.
	ErrRateLimited = errors.New("too many requests")
	// ErrBusy: the node cannot answer now.
	ErrBusy = errors.New("node is busy")
)

// A StatusError is a refusal by a node. It matches, by its code: fs.ErrNotExist and fs.ErrExist;
// request.ErrUnauthenticated; auth.ErrForbidden, ErrSignature and ErrRevoked;
// capsule.ErrUnknownValidator, ErrExpired, ErrReplay, ErrUnsupported, ErrNotReady,
// ErrContentMismatch and ErrManifest; errors.ErrUnsupported for a route that the node does not
// have; ErrConflict, ErrStale, ErrTooLarge, ErrNoSpace, ErrRateLimited and ErrBusy. A refusal
// without a code, from a proxy or for a HEAD request, matches by its status.
type StatusError struct {
	Method, Path string // of the request, without query
	Status       int    // HTTP status
	Code         string // as in "capsule_not_found"; empty: the answer has none
	// Detail is the text of the node, at most 200 bytes, without control characters.
	Detail     string
	RequestID  string        // under which the node logged the request; empty: unknown
	RetryAfter time.Duration // 0: not given
}

// Error implements error.
func (e *StatusError) Error() string {
	s := fmt.Sprintf("%s %s: status %d", e.Method, e.Path, e.Status)
	if e.Code != "" {
		s += " " + e.Code
	} else if text := http.StatusText(e.Status); text != "" {
		s += " " + text
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

// Is reports whether target is an error of the code or status.
func (e *StatusError) Is(target error) bool {
	list, ok := codeErrors[e.Code]
	if !ok {
		list = statusErrors[e.Status]
	}
	for _, err := range list {
		if err == target {
			return true
		}
	}
	return false
}

// codeErrors maps the codes of problems to errors. It also lists codes without an error, so that
// the status decides only for unknown codes.
var codeErrors = map[string][]error{
	"invalid_hex":            nil,
	"invalid_index":          nil,
	"invalid_json":           nil,
	"invalid_argument":       nil,
	"unauthorized":           {request.ErrUnauthenticated},
	"forbidden":              {auth.ErrForbidden},
	"not_a_writer":           {auth.ErrForbidden},
	"unknown_writer":         {auth.ErrForbidden},
	"unknown_validator":      {auth.ErrForbidden, capsule.ErrUnknownValidator},
	"bad_signature":          {auth.ErrSignature},
	"route_not_found":        {errors.ErrUnsupported},
	"capsule_not_found":      {fs.ErrNotExist},
	"datastore_not_found":    {fs.ErrNotExist},
	"handle_not_found":       {fs.ErrNotExist},
	"plot_not_found":         {fs.ErrNotExist},
	"job_not_found":          {fs.ErrNotExist},
	"session_not_found":      {fs.ErrNotExist},
	"peer_not_found":         {fs.ErrNotExist},
	"method_not_allowed":     {errors.ErrUnsupported},
	"not_acceptable":         nil,
	"root_conflict":          {ErrConflict},
	"stale_generation":       {ErrStale},
	"already_exists":         {fs.ErrExist},
	"challenge_reused":       {capsule.ErrReplay},
	"gone_tombstoned":        {auth.ErrRevoked},
	"expired":                {capsule.ErrExpired},
	"precondition_failed":    nil,
	"payload_too_large":      {ErrTooLarge},
	"unsupported_media_type": nil,
	"range_not_satisfiable":  nil,
	"hash_mismatch":          {capsule.ErrContentMismatch},
	"merkle_mismatch":        {capsule.ErrManifest},
	"unsupported_challenge":  {capsule.ErrUnsupported},
	"rate_limited":           {ErrRateLimited},
	"headers_too_large":      nil,
	"corrupt_capsule":        nil,
	"internal":               nil,
	"busy":                   {ErrBusy},
	"draining":               {ErrBusy},
	"not_ready":              {ErrBusy, capsule.ErrNotReady},
	"upstream_unavailable":   {ErrBusy},
	"deadline_exceeded":      nil,
	"insufficient_storage":   {ErrNoSpace},
}

// statusErrors maps the statuses of answers without a code to errors.
var statusErrors = map[int][]error{
	http.StatusUnauthorized:          {request.ErrUnauthenticated},
	http.StatusForbidden:             {auth.ErrForbidden},
	http.StatusNotFound:              {fs.ErrNotExist},
	http.StatusMethodNotAllowed:      {errors.ErrUnsupported},
	http.StatusRequestEntityTooLarge: {ErrTooLarge},
	http.StatusTooManyRequests:       {ErrRateLimited},
	http.StatusServiceUnavailable:    {ErrBusy},
	http.StatusInsufficientStorage:   {ErrNoSpace},
}

// A DeclinedError says that the policy of a node declined a push. It matches [ErrDeclined].
type DeclinedError struct {
	Code string // reason, as in "policy_declined"; empty: not given
}

// Error implements error.
func (e *DeclinedError) Error() string {
	if e.Code == "" {
		return ErrDeclined.Error()
	}
	return ErrDeclined.Error() + ": " + e.Code
}

// Is reports whether target is ErrDeclined.
func (e *DeclinedError) Is(target error) bool { return target == ErrDeclined }

// connectionError is a failed exchange. It matches [ErrConnection].
type connectionError struct{ err error }

func (e *connectionError) Error() string        { return e.err.Error() }
func (e *connectionError) Unwrap() error        { return e.err }
func (e *connectionError) Is(target error) bool { return target == ErrConnection }

func protocolf(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrProtocol, fmt.Errorf(format, args...))
}
