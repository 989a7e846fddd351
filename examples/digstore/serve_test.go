package main

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
)

// host starts digstore serve in a folder of the desk; the test's end stops it.
func (d *desk) host(at string, args ...string) *server {
	d.t.Helper()
	s, err := startServer(filepath.Join(d.dir, at), filepath.Join(d.dir, "identity"), args...)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { s.stop() })
	return s
}

// TestReplayAfterRestart: a captured request that changes something is refused by
// the next serve of the workspace too, also one that was dated in the future,
// and also when the first one was killed. What was not used is taken.
func TestReplayAfterRestart(t *testing.T) {
	d := newDesk(t)
	id, err := auth.ParseStoreID(d.publish("."))
	if err != nil {
		t.Fatal(err)
	}
	sign := func(op request.Op, at time.Time, n byte) http.Header {
		r := &http.Request{Header: http.Header{}}
		if err := request.SignAt(r, op, id, auth.NewKey([32]byte{7}), at, [32]byte{n, 1}); err != nil {
			t.Fatal(err)
		}
		return r.Header
	}
	send := func(s *server, path, method string, h http.Header) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, s.url+"/stores/"+id.String()+path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = h.Clone()
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(text)
	}
	type captured struct {
		path, method string
		used, kept   http.Header
	}
	var all []captured
	for i, c := range []struct {
		op           request.Op
		path, method string
	}{
		{request.Push, "/module", "PUT"}, {request.PushInit, "/module/upload", "POST"},
		{request.PushComplete, "/module/complete", "POST"}, {request.Tombstone, "/tombstone", "POST"},
	} {
		for j, after := range []time.Duration{0, 2 * time.Minute} {
			at, n := time.Now().Add(after), byte(10*i+2*j)
			all = append(all, captured{c.path, c.method, sign(c.op, at, n), sign(c.op, at, n+1)})
		}
	}
	s := d.host(".")
	for _, c := range all {
		if code, text := send(s, c.path, c.method, c.used); code == http.StatusUnauthorized {
			t.Errorf("%s %s: %s", c.method, c.path, text)
		}
	}
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	s.once.Do(func() { _ = s.cmd.Wait() })
	s = d.host(".")
	for _, c := range all {
		if code, text := send(s, c.path, c.method, c.used); code != http.StatusUnauthorized || !strings.Contains(text, "replayed nonce") {
			t.Errorf("%s %s after a restart: %d %s", c.method, c.path, code, text)
		}
		if code, text := send(s, c.path, c.method, c.kept); code == http.StatusUnauthorized {
			t.Errorf("%s %s, not used before the restart: %s", c.method, c.path, text)
		}
	}
}
