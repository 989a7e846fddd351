package wire

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/digstore/module"
)

// Errors of both sides. Packages remote and server export them.
var (
	ErrVerification   = errors.New("remote: verification failed")
	ErrNonFastForward = fmt.Errorf("remote: push is not a fast-forward: %w", module.ErrNotHead)
	ErrTooLarge       = errors.New("remote: too large")
	ErrProtocol       = errors.New("remote: not an answer of this protocol")
	ErrNoBase         = errors.New("remote: the base of the recipe is not held here")
)

// IsFault reports whether the origin caused err, and not the connection.
func IsFault(err error) bool {
	return errors.Is(err, ErrVerification) || errors.Is(err, ErrProtocol) ||
		errors.Is(err, ErrTooLarge)
}

// StatusError returns the error of a status (remote/PROTOCOL.md 9.12), or nil if it has none.
func StatusError(code int) error {
	switch code {
	case http.StatusUnauthorized:
		return request.ErrUnauthenticated
	case http.StatusForbidden:
		return auth.ErrForbidden
	case http.StatusNotFound:
		return fs.ErrNotExist
	case http.StatusConflict:
		return ErrNonFastForward
	case http.StatusGone:
		return auth.ErrRevoked
	case http.StatusRequestEntityTooLarge:
		return ErrTooLarge
	}
	return nil
}

// StatusWord returns the "error" member of a refusal in JSON.
func StatusWord(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "bad_request"
	case http.StatusUnauthorized:
		return "unauthenticated"
	case http.StatusForbidden:
		return "forbidden"
	case http.StatusNotFound:
		return "not_found"
	case http.StatusMethodNotAllowed:
		return "method_not_allowed"
	case http.StatusConflict:
		return "non_fast_forward"
	case http.StatusGone:
		return "revoked"
	case http.StatusPreconditionFailed:
		return "no_base"
	case http.StatusRequestEntityTooLarge:
		return "too_large"
	case http.StatusUnsupportedMediaType:
		return "unsupported_media_type"
	case http.StatusRequestedRangeNotSatisfiable:
		return "range_not_satisfiable"
	case http.StatusUnprocessableEntity:
		return "invalid"
	case http.StatusTooManyRequests:
		return "rate_limited"
	case http.StatusInsufficientStorage:
		return "quota_exceeded"
	case http.StatusServiceUnavailable:
		return "unavailable"
	}
	return "internal"
}
