package server

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// statuses is the table of remote/PROTOCOL.md 4.2 and 9.12: the status of a server error, and the
// client's error for it.
var statuses = []struct {
	err    error
	status int
	text   string
	client error // nil: only a *StatusError
}{
	{badRequest("bad root"), 400, "bad request: bad root", nil},
	{&request.Error{Kind: request.Stale, Reason: "stale request timestamp"}, 401, "request authentication failed: stale request timestamp", request.ErrUnauthenticated},
	{missingBearer(), 401, "missing bearer token", request.ErrUnauthenticated},
	{unauthorized(errors.New("no friend of mine")), 403, "not authorized", auth.ErrForbidden},
	{forbidden("bad BLS signature"), 403, "push not authorized: bad BLS signature", auth.ErrForbidden},
	{auth.ErrForbidden, 403, "push not authorized: not allowed here", auth.ErrForbidden},
	{auth.ErrRevoked, 403, "push not authorized: revoked", auth.ErrForbidden},
	{unknownStore(), 404, "unknown store", fs.ErrNotExist},
	{unknownRoot(), 404, "unknown root", fs.ErrNotExist},
	{fs.ErrNotExist, 404, "unknown store", fs.ErrNotExist},
	{noRoute(), 404, "not found", fs.ErrNotExist},
	{noMethod(), 405, "method not allowed", nil},
	{nonFastForward(), 409, "non-fast-forward push", remote.ErrNonFastForward},
	{remote.ErrNonFastForward, 409, "non-fast-forward push", remote.ErrNonFastForward},
	{module.ErrNotHead, 409, "non-fast-forward push", remote.ErrNonFastForward},
	{fs.ErrExist, 409, "non-fast-forward push", remote.ErrNonFastForward},
	{revoked(), 410, "revoked", auth.ErrRevoked},
	{noBaseHere(), 412, "recipe base is not here: send the module", nil},
	{tooLarge(7), 413, "module too large: 7 bytes", remote.ErrTooLarge},
	{bodyTooLarge(7, "bytes"), 413, "body too large: over 7 bytes", remote.ErrTooLarge},
	{deltaTooLarge(7), 413, "delta too large: 7 bytes", remote.ErrTooLarge},
	{unsupportedType(), 415, "unsupported media type: send application/json", nil},
	{refuse(416, "bad request: range not satisfiable"), 416, "bad request: range not satisfiable", nil},
	{invalid("root does not match"), 422, "module failed validation: root does not match", nil},
	{module.ErrFormat, 422, "module failed validation: not a valid module", nil},
	{remote.ErrVerification, 422, "module failed validation: not a valid module", nil},
	{rateLimited(time.Second), 429, "rate limited", nil},
	{errors.New("disk full at /secret/path"), 500, "internal server error", nil},
	{&request.FullError{RetryAfter: time.Second}, 503, "too many requests to remember", nil},
	{unreadable(errors.New("out of order")), 503, "the upload cannot be read now", nil},
	{request.ErrBusy, 503, "too many requests to authenticate", nil},
}

func TestStatusTableBothWays(t *testing.T) {
	seen := map[int]bool{}
	for _, row := range statuses {
		wrapped := fmt.Errorf("receive from a stranger: %w", row.err)
		got := refusalOf(wrapped)
		if got.status != row.status || got.text != row.text {
			t.Errorf("%v: answered %d %q, want %d %q", row.err, got.status, got.text, row.status, row.text)
		}
		back := &remote.StatusError{Code: got.status, Message: got.text}
		if row.client != nil && !errors.Is(back, row.client) {
			t.Errorf("%v: the client of %d does not see %v", row.err, got.status, row.client)
		}
		if row.client == nil && wire.StatusError(got.status) != nil {
			t.Errorf("%v: the client of %d sees %v", row.err, got.status, wire.StatusError(got.status))
		}
		if wire.StatusWord(got.status) == "internal" && got.status != 500 {
			t.Errorf("no word for %d", got.status)
		}
		seen[row.status] = true
	}
	for code := range 600 { // every status with a client error is in the table
		if wire.StatusError(code) != nil && !seen[code] {
			t.Errorf("the client knows %d %s, and no server error gives it", code, http.StatusText(code))
		}
	}
}

// TestEveryStatusIsShown: each status of the table occurs in a recorded exchange, and no exchange
// has another status.
func TestEveryStatusIsShown(t *testing.T) {
	table := map[string]bool{"200": true, "201": true, "202": true, "206": true, "304": true}
	for _, row := range statuses {
		table[strconv.Itoa(row.status)] = true
	}
	names, err := filepath.Glob(filepath.Join("testdata", "transcripts", "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	recipes, err := filepath.Glob(filepath.Join("..", "testdata", "transcripts", "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, name := range append(names, recipes...) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^< ([0-9]{3}) `).FindAllSubmatch(text, -1) {
			if shown[string(m[1])] = true; !table[string(m[1])] {
				t.Errorf("%s: status %s is not in the table", name, m[1])
			}
		}
	}
	for status := range table {
		if !shown[status] {
			t.Errorf("no transcript shows status %s", status)
		}
	}
}
