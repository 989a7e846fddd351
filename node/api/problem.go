package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/node/storage"
)

// A Code is the member code of a problem: the kind of error, for programs.
type Code string

// The codes. Codes has their statuses.
const (
	InvalidHex           Code = "invalid_hex"
	InvalidIndex         Code = "invalid_index"
	InvalidJSON          Code = "invalid_json"
	InvalidArgument      Code = "invalid_argument"
	Unauthorized         Code = "unauthorized"
	Forbidden            Code = "forbidden"
	NotAWriter           Code = "not_a_writer"
	UnknownWriter        Code = "unknown_writer"
	UnknownValidator     Code = "unknown_validator"
	BadSignature         Code = "bad_signature"
	RouteNotFound        Code = "route_not_found"
	CapsuleNotFound      Code = "capsule_not_found"
	DatastoreNotFound    Code = "datastore_not_found"
	HandleNotFound       Code = "handle_not_found"
	PlotNotFound         Code = "plot_not_found"
	JobNotFound          Code = "job_not_found"
	SessionNotFound      Code = "session_not_found"
	PeerNotFound         Code = "peer_not_found"
	MethodNotAllowed     Code = "method_not_allowed"
	NotAcceptable        Code = "not_acceptable"
	RootConflict         Code = "root_conflict"
	StaleGeneration      Code = "stale_generation"
	AlreadyExists        Code = "already_exists"
	ChallengeReused      Code = "challenge_reused"
	GoneTombstoned       Code = "gone_tombstoned"
	Expired              Code = "expired"
	PreconditionFailed   Code = "precondition_failed"
	PayloadTooLarge      Code = "payload_too_large"
	UnsupportedMediaType Code = "unsupported_media_type"
	RangeNotSatisfiable  Code = "range_not_satisfiable"
	HashMismatch         Code = "hash_mismatch"
	MerkleMismatch       Code = "merkle_mismatch"
	UnsupportedChallenge Code = "unsupported_challenge"
	RateLimited          Code = "rate_limited"
	HeadersTooLarge      Code = "headers_too_large"
	CorruptCapsule       Code = "corrupt_capsule"
	Internal             Code = "internal"
	Busy                 Code = "busy"
	Draining             Code = "draining"
	NotReady             Code = "not_ready"
	UpstreamUnavailable  Code = "upstream_unavailable"
	DeadlineExceeded     Code = "deadline_exceeded"
	InsufficientStorage  Code = "insufficient_storage"
)

// A codeRow is a code with its status and title.
type codeRow struct {
	Code   Code
	Status int
	Title  string
}

// codes is the table of all codes.
var codes = []codeRow{
	{InvalidHex, 400, "Malformed hexadecimal value"},
	{InvalidIndex, 400, "Malformed capsule index"},
	{InvalidJSON, 400, "Malformed body"},
	{InvalidArgument, 400, "Invalid argument"},
	{Unauthorized, 401, "Credential required"},
	{Forbidden, 403, "Forbidden"},
	{NotAWriter, 403, "Key may not write the datastore"},
	{UnknownWriter, 403, "Writer of the datastore is not known"},
	{UnknownValidator, 403, "Validator is not known"},
	{BadSignature, 403, "Signature does not verify"},
	{RouteNotFound, 404, "Route not found"},
	{CapsuleNotFound, 404, "Capsule not found"},
	{DatastoreNotFound, 404, "Datastore not found"},
	{HandleNotFound, 404, "Handle not found"},
	{PlotNotFound, 404, "Plot not found"},
	{JobNotFound, 404, "Job not found"},
	{SessionNotFound, 404, "Upload session not found"},
	{PeerNotFound, 404, "Peer not found"},
	{MethodNotAllowed, 405, "Method not allowed"},
	{NotAcceptable, 406, "Not acceptable"},
	{RootConflict, 409, "Another root is the head"},
	{StaleGeneration, 409, "Generation is older than the head"},
	{AlreadyExists, 409, "Already exists"},
	{ChallengeReused, 409, "Challenge id was used before"},
	{GoneTombstoned, 410, "Root was revoked"},
	{Expired, 410, "Challenge expired"},
	{PreconditionFailed, 412, "Precondition failed"},
	{PayloadTooLarge, 413, "Body too large"},
	{UnsupportedMediaType, 415, "Unsupported media type"},
	{RangeNotSatisfiable, 416, "Range not satisfiable"},
	{HashMismatch, 422, "Content does not match its hash"},
	{MerkleMismatch, 422, "Capsules do not match the root"},
	{UnsupportedChallenge, 422, "Challenge not supported"},
	{RateLimited, 429, "Too many requests"},
	{HeadersTooLarge, 431, "Headers too large"},
	{CorruptCapsule, 500, "Stored content is damaged"},
	{Internal, 500, "Internal error"},
	{Busy, 503, "Busy"},
	{Draining, 503, "Shutting down"},
	{NotReady, 503, "Not ready"},
	{UpstreamUnavailable, 503, "A service that is needed does not answer"},
	{DeadlineExceeded, 504, "Not finished in time"},
	{InsufficientStorage, 507, "No space left"},
}

var codeRows = func() map[Code]codeRow {
	rows := make(map[Code]codeRow, len(codes))
	for _, row := range codes {
		rows[row.Code] = row
	}
	return rows
}()

// Codes returns all codes with their HTTP statuses.
func Codes() map[Code]int {
	statuses := make(map[Code]int, len(codes))
	for _, row := range codes {
		statuses[row.Code] = row.Status
	}
	return statuses
}

// An Error is a refusal with the code of its answer. A node may return one from any method of
// the interfaces of this package; other errors are mapped by what they match.
type Error struct {
	Code       Code
	Detail     string        // for people; must not contain secrets. Empty: none
	RetryAfter time.Duration // 0: the default of the code
	Status     int           // 0: that of the code
	Err        error         // the cause, which is logged and not sent; may be nil
}

// Error implements error.
func (e *Error) Error() string {
	text := string(e.Code)
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

func failf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// match maps errors of other packages to codes. The first match is used.
var match = []struct {
	err  error
	code Code
}{
	{storage.ErrNoSpace, InsufficientStorage},
	{storage.ErrUnavailable, NotReady},
	{capsule.ErrNotReady, NotReady},
	{capsule.ErrReplay, ChallengeReused},
	{capsule.ErrExpired, Expired},
	{capsule.ErrUnknownValidator, UnknownValidator},
	{capsule.ErrUnsupported, UnsupportedChallenge},
	{capsule.ErrBinding, UnsupportedChallenge},
	{capsule.ErrChallenge, InvalidJSON},
	{capsule.ErrManifest, InvalidJSON},
	{request.ErrUnauthenticated, Unauthorized},
	{request.ErrNoncesFull, Busy},
	{request.ErrBusy, Busy},
	{auth.ErrRevoked, GoneTombstoned},
	{auth.ErrForbidden, Forbidden},
	{context.DeadlineExceeded, DeadlineExceeded},
	{errors.ErrUnsupported, InvalidArgument},
}

// asError maps err to a refusal. fs.ErrNotExist is mapped to the code absent.
func asError(err error, absent Code) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	for _, m := range match {
		if errors.Is(err, m.err) {
			return &Error{Code: m.code, Err: err}
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return &Error{Code: absent, Err: err}
	}
	return &Error{Code: Internal, Err: err}
}

// problem is the body of an error.
type problem struct {
	Type       string `json:"type"`
	Title      string `json:"title"`
	Status     int    `json:"status"`
	Detail     string `json:"detail,omitempty"`
	Instance   string `json:"instance"`
	Code       Code   `json:"code"`
	RequestID  string `json:"request_id"`
	RetryAfter int    `json:"retry_after,omitempty"`
}

// maxDetail is the limit of a detail in runes.
const maxDetail = 200

// printable shortens a text for an answer or a log, and replaces control characters.
func printable(s string) string {
	n := 0
	cut := strings.Map(func(r rune) rune {
		n++
		switch {
		case n > maxDetail:
			return -1
		case unicode.IsControl(r) || r == unicode.ReplacementChar || !unicode.IsPrint(r):
			return '?'
		}
		return r
	}, s[:min(len(s), 4*maxDetail)])
	return cut
}

// retryAfter returns the value of Retry-After in seconds; 0 is none.
func (e *Error) retryAfter(status int) int {
	switch {
	case e.RetryAfter > 0:
		return int(math.Ceil(e.RetryAfter.Seconds()))
	case status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests:
		return 1
	}
	return 0
}

// writeProblem answers with an error.
func writeProblem(w http.ResponseWriter, r *http.Request, id string, e *Error) {
	row, ok := codeRows[e.Code]
	if !ok {
		row = codeRows[Internal]
	}
	status := row.Status
	if e.Status != 0 {
		status = e.Status
	}
	p := problem{Type: "about:blank", Title: row.Title, Status: status, Code: row.Code,
		Detail: printable(e.Detail), Instance: printable(r.URL.EscapedPath()), RequestID: id,
		RetryAfter: e.retryAfter(status)}
	h := w.Header()
	for _, name := range []string{"Content-Encoding", "Content-Length", "Last-Modified"} {
		h.Del(name)
	}
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	if status == http.StatusUnauthorized {
		h.Add("WWW-Authenticate", `Basic realm="dig-node"`)
		h.Add("WWW-Authenticate", "Bearer")
	}
	if status != http.StatusRequestedRangeNotSatisfiable &&
		status != http.StatusPreconditionFailed {
		h.Del("ETag")
		h.Del("Accept-Ranges")
	}
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "application/problem+json")
	text, err := json.Marshal(p)
	if err != nil { // no member can fail
		text = []byte("{}")
	}
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(text)
	}
}
