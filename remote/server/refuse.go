package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// A refusal is an error response. The client sees only status and text, which contain nothing from
// the request (remote/PROTOCOL.md 4.2). It is an error, so that a body reader or a check can return
// it through the backend.
type refusal struct {
	status int
	text   string
	retry  time.Duration // Retry-After; 0: none
	cause  error         // for the log; never sent
}

func (r *refusal) Error() string {
	if r.cause != nil {
		return r.text + ": " + r.cause.Error()
	}
	return r.text
}

func (r *refusal) Unwrap() error { return r.cause }

// Is makes a refusal match the client's error for its status, and the errors of [Server.Receive].
func (r *refusal) Is(target error) bool {
	switch target {
	case ErrVerification:
		return r.status == http.StatusUnprocessableEntity
	case ErrUnavailable:
		return r.status == http.StatusTooManyRequests || r.status == http.StatusServiceUnavailable
	}
	s := wire.StatusError(r.status)
	return s != nil && target == s
}

func refuse(status int, text string) *refusal { return &refusal{status: status, text: text} }

// The texts of remote/PROTOCOL.md 4.2. Only constants and numbers vary in them.
func badRequest(detail string) *refusal {
	return refuse(http.StatusBadRequest, "bad request: "+detail)
}
func invalid(detail string) *refusal {
	return refuse(http.StatusUnprocessableEntity, "module failed validation: "+detail)
}
func forbidden(detail string) *refusal {
	return refuse(http.StatusForbidden, "push not authorized: "+detail)
}
func unauthorized(cause error) *refusal {
	return &refusal{status: http.StatusForbidden, text: "not authorized", cause: cause}
}
func unauthenticated(detail string) *refusal {
	return refuse(http.StatusUnauthorized, "request authentication failed: "+detail)
}
func tooLarge(n int64) *refusal {
	return refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("module too large: %d bytes", n))
}
func bodyTooLarge(limit int64, of string) *refusal {
	return refuse(http.StatusRequestEntityTooLarge,
		fmt.Sprintf("body too large: over %d %s", limit, of))
}
func deltaTooLarge(n int64) *refusal {
	return refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("delta too large: %d bytes", n))
}
func missingBearer() *refusal  { return refuse(http.StatusUnauthorized, "missing bearer token") }
func unknownStore() *refusal   { return refuse(http.StatusNotFound, "unknown store") }
func unknownRoot() *refusal    { return refuse(http.StatusNotFound, "unknown root") }
func noRoute() *refusal        { return refuse(http.StatusNotFound, "not found") }
func noMethod() *refusal       { return refuse(http.StatusMethodNotAllowed, "method not allowed") }
func nonFastForward() *refusal { return refuse(http.StatusConflict, "non-fast-forward push") }
func revoked() *refusal        { return refuse(http.StatusGone, "revoked") }
func rateLimited(wait time.Duration) *refusal {
	return &refusal{status: http.StatusTooManyRequests, text: "rate limited", retry: wait}
}
func unsupportedType() *refusal {
	return refuse(http.StatusUnsupportedMediaType, "unsupported media type: send application/json")
}

// refusalOf returns the refusal for any error.
func refusalOf(err error) *refusal {
	var r *refusal
	var unauth *request.Error
	var full *request.FullError
	switch {
	case errors.As(err, &r):
		return r
	case errors.As(err, &unauth):
		r = unauthenticated(unauth.Reason)
	case errors.As(err, &full):
		r = &refusal{status: http.StatusServiceUnavailable, text: "too many requests to remember",
			retry: full.RetryAfter}
	case errors.Is(err, request.ErrBusy):
		r = &refusal{status: http.StatusServiceUnavailable, text: "too many requests to authenticate",
			retry: time.Second}
	case errors.Is(err, module.ErrRemoved): // before ErrDamaged, which a removal can also cause
		r = unknownStore()
	case errors.Is(err, module.ErrDamaged):
		r = refuse(http.StatusInternalServerError, "internal server error")
	case errors.Is(err, wire.ErrNonFastForward), errors.Is(err,
		module.ErrNotHead), errors.Is(err, fs.ErrExist):
		r = nonFastForward()
	case errors.Is(err, fs.ErrNotExist):
		r = unknownStore()
	case errors.Is(err, auth.ErrRevoked):
		r = forbidden("revoked")
	case errors.Is(err, auth.ErrForbidden):
		r = forbidden("not allowed here")
	case errors.Is(err, module.ErrFormat), errors.Is(err, wire.ErrVerification):
		r = invalid("not a valid module")
	default:
		r = refuse(http.StatusInternalServerError, "internal server error")
	}
	r.cause = err
	return r
}

// refuse writes the response to err. It logs the cause of status 500, which the client does not
// see.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	f := refusalOf(err)
	if f.status == http.StatusInternalServerError && r.Context().Err() == nil {
		// otherwise the client disconnected
		s.log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path",
			r.URL.Path, "err", f.cause)
	}
	writeRefusal(w, r, f)
}

func writeRefusal(w http.ResponseWriter, r *http.Request, f *refusal) {
	h := w.Header()
	for _, k := range []string{"ETag", "Content-Length", "Accept-Ranges"} {
		h.Del(k)
	}
	if f.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(f.retry.Seconds()))))
	}
	body := f.text
	if wantsJSON(r.Header) {
		h.Set("Content-Type", wire.TypeJSON)
		// marshaling two strings cannot fail
		j, _ := json.Marshal(wire.ErrorBody{Error: wire.StatusWord(f.status), Message: f.text})
		body = string(j)
	} else {
		h.Set("Content-Type", "text/plain; charset=utf-8")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(f.status)
	if r.Method != http.MethodHead {
		io.WriteString(w, body)
	}
}
