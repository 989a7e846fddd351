package remote_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/bandwidth"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/server"
)

func TestClientReads(t *testing.T) {
	s := newSite(t, 2, nil)
	l := s.listen()
	c := s.client(l, nil)
	d, err := c.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	signed, err := d.SignedRoot(s.id, d.PublicKey)
	if err != nil || signed != s.head() || d.Size != int64(len(s.modules[1])) {
		t.Errorf("descriptor %+v, %v", d, err)
	}
	lines, err := c.Generations(t.Context())
	if err != nil || len(lines) != 2 || lines[1].Root != s.head().Root || lines[1].Number != 1 ||
		!lines[0].Time.Equal(start) {
		t.Errorf("history %v, %v", lines, err)
	}
	for n, head := range s.heads {
		size, err := c.Stat(t.Context(), head.Root)
		if err != nil || size != int64(len(s.modules[n])) {
			t.Errorf("generation %d: %d bytes, %v", n, size, err)
		}
		r, err := c.Module(t.Context(), head.Root)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		r.Close()
		if err != nil || !bytes.Equal(got, s.modules[n]) || r.(interface{ Size() int64 }).Size() != size {
			t.Errorf("generation %d: %d bytes, %v", n, len(got), err)
		}
	}
	if _, err := c.Module(t.Context(), merkle.Hash{1}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("unknown root: %v", err)
	}
}

func TestClientRange(t *testing.T) {
	s := newSite(t, 1, nil)
	l := s.listen()
	c := s.client(l, nil)
	mod, root := s.modules[0], s.head().Root
	n := int64(len(mod))
	for _, c2 := range []struct {
		name          string
		offset, start int64
		noRange       bool
	}{
		{name: "the beginning", offset: 0, start: 0},
		{name: "the middle", offset: n / 2, start: n / 2},
		{name: "the last byte", offset: n - 1, start: n - 1},
		{name: "nothing left", offset: n, start: n},
		{name: "beyond the end", offset: n + 1, start: 0},
		{name: "a server without ranges", offset: n / 2, start: 0, noRange: true},
	} {
		t.Run(c2.name, func(t *testing.T) {
			l.instead = func(_ http.ResponseWriter, r *http.Request, _ string) bool {
				if c2.noRange {
					r.Header.Del("Range")
				}
				return false
			}
			r, at, err := c.ModuleFrom(t.Context(), root, c2.offset)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			got, err := io.ReadAll(r)
			if err != nil || at != c2.start || !bytes.Equal(got, mod[at:]) ||
				r.(interface{ Size() int64 }).Size() != n {
				t.Errorf("%d bytes from %d, %v; want %d from %d", len(got), at, err, n-c2.start, c2.start)
			}
		})
	}
}

// TestClientRefuses checks the errors for answers that violate the protocol.
func TestClientRefuses(t *testing.T) {
	s := newSite(t, 1, nil)
	l := s.listen()
	root := s.head().Root
	describe := func(c *remote.Client) error { _, err := c.Describe(t.Context()); return err }
	roots := func(c *remote.Client) error { _, err := c.Generations(t.Context()); return err }
	fetch := func(c *remote.Client) error {
		r, err := c.Module(t.Context(), root)
		if err != nil {
			return err
		}
		defer r.Close()
		_, err = io.Copy(io.Discard, r)
		return err
	}
	respond := func(code int, body string, headers ...string) func(http.ResponseWriter,
		*http.Request, string) bool {
		return func(w http.ResponseWriter, _ *http.Request, _ string) bool {
			for i := 0; i < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			w.WriteHeader(code)
			io.WriteString(w, body)
			return true
		}
	}
	tag := `"` + root.String() + `"`
	for _, c := range []struct {
		name    string
		call    func(*remote.Client) error
		instead func(http.ResponseWriter, *http.Request, string) bool
		want    error
	}{
		{"redirect", describe, respond(302, "", "Location", "https://evil.example/"), remote.ErrProtocol},
		{"redirect of a module", fetch, respond(307, "", "Location", "/elsewhere"), remote.ErrProtocol},
		{"no content", describe, respond(204, ""), remote.ErrProtocol},
		{"not JSON", describe, respond(200, "<html>"), remote.ErrProtocol},
		{"cut JSON", roots, respond(200, `{"roots":[`), remote.ErrProtocol},
		{"a name twice", describe, respond(200, `{"current_root":"`+root.String()+`","size":1,"Current_Root":"`+root.String()+`"}`), remote.ErrProtocol},
		{"a name twice, deep", describe, respond(200, `{"current_root":"`+root.String()+`","tombstones":[{"record":"","record":""}]}`), remote.ErrProtocol},
		{"a nested bomb", describe, respond(200, `{"x":`+strings.Repeat("[", 1<<20)), remote.ErrProtocol},
		{"more after the end", describe, respond(200, `{"current_root":"`+root.String()+`"}{}`), remote.ErrProtocol},
		{"a line with a name twice", roots, respond(200, `{"roots":[{"generation":0,"root":"`+root.String()+`","timestamp":1,"generation":1}]}`), remote.ErrProtocol},
		{"a history twice", roots, respond(200, `{"roots":[]}{"roots":[]}`), remote.ErrProtocol},
		{"not modified", describe, respond(304, ""), remote.ErrProtocol},
		{"a module not modified", fetch, respond(304, "", "ETag", tag), remote.ErrProtocol},
		{"compressed, said twice", describe, respond(200, "{}", "Content-Encoding", "identity, gzip"), remote.ErrProtocol},
		{"descriptor too large", describe, respond(200, `{"x":"`+strings.Repeat("x", 4<<20)+`"}`), remote.ErrTooLarge},
		{"compressed", fetch, respond(200, "x", "Content-Encoding", "gzip", "ETag", tag), remote.ErrProtocol},
		{"no ETag", fetch, respond(200, "x"), remote.ErrVerification},
		{"weak ETag of another root", fetch, respond(200, "x", "ETag", `W/"`+merkle.Hash{}.String()+`"`), remote.ErrVerification},
		{"weak ETag, weakened twice", fetch, respond(200, "x", "ETag", "W/W/"+tag), remote.ErrVerification},
		{"unquoted ETag", fetch, respond(200, "x", "ETag", root.String()), remote.ErrVerification},
		{"ETag of another root", fetch, respond(200, "x", "ETag", `"`+merkle.Hash{}.String()+`"`), remote.ErrVerification},
		{"unasked range", fetch, respond(206, "x", "ETag", tag, "Content-Range", "bytes 0-0/1"), remote.ErrProtocol},
		{"module too large, as said", fetch, respond(200, "x", "ETag", tag, "Content-Length", "5000000"), remote.ErrTooLarge},
		{"module too large, unsaid", fetch, func(w http.ResponseWriter, _ *http.Request, _ string) bool {
			w.Header().Set("ETag", tag)
			for range 200 {
				w.Write(make([]byte, 32<<10))
				w.(http.Flusher).Flush()
			}
			return true
		}, remote.ErrTooLarge},
		{"gateway's refusal", describe, respond(404, `{"error":"not_found","message":"no such store"}`), fs.ErrNotExist},
	} {
		t.Run(c.name, func(t *testing.T) {
			l.requests()
			l.instead = c.instead
			err := c.call(s.client(l, &remote.ClientOptions{MaxModule: 4 << 20}))
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if n := len(l.requests()); n != 1 {
				t.Errorf("%d requests, want 1", n)
			}
		})
	}
}

// TestClientStatuses checks that each status of the server's table becomes its error.
func TestClientStatuses(t *testing.T) {
	s := newSite(t, 1, nil)
	l := s.listen()
	c := s.client(l, &remote.ClientOptions{Attempts: 1})
	all := []error{request.ErrUnauthenticated, auth.ErrForbidden, fs.ErrNotExist,
		remote.ErrNonFastForward,
		auth.ErrRevoked, remote.ErrTooLarge}
	for code, want := range map[int]error{400: nil, 401: request.ErrUnauthenticated,
		403: auth.ErrForbidden, 404: fs.ErrNotExist,
		405: nil, 409: remote.ErrNonFastForward, 410: auth.ErrRevoked, 413: remote.ErrTooLarge, 415: nil, 422: nil, 429: nil,
		500: nil, 501: nil, 503: nil} {
		for _, form := range []string{"the server's words", `{"error":"x","message":"the server's words"}`} {
			l.instead = func(w http.ResponseWriter, _ *http.Request, _ string) bool {
				w.Header().Set("Retry-After", "7")
				w.Header().Del("Date")
				w.Header()["Date"] = nil
				w.WriteHeader(code)
				io.WriteString(w, form)
				return true
			}
			_, err := c.Describe(t.Context())
			var status *remote.StatusError
			if !errors.As(err, &status) || status.Code != code || status.Message != "the server's words" ||
				status.RetryAfter != 7*time.Second {
				t.Errorf("%d: %#v", code, err)
			}
			for _, sentinel := range all {
				if errors.Is(err, sentinel) != (sentinel == want) {
					t.Errorf("%d: errors.Is(%v) is %v", code, sentinel, sentinel != want)
				}
			}
			if errors.Is(err, remote.ErrVerification) {
				t.Errorf("%d is a verification failure", code)
			}
		}
	}
}

// TestClientProxy checks that answers of a proxy are distinguished from answers of the host.
func TestClientProxy(t *testing.T) {
	s := newSite(t, 1, nil)
	l := s.listen()
	c := s.client(l, &remote.ClientOptions{Attempts: 1})
	for body, proxy := range map[string]bool{"module too large: 5 bytes": false, `{"error":"too_large","message":"no"}`: false, "": false,
		"<html><head><title>413 Request Entity Too Large</title></head></html>": true} {
		l.instead = func(w http.ResponseWriter, _ *http.Request, _ string) bool {
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			io.WriteString(w, body)
			return true
		}
		_, err := c.Describe(t.Context())
		var status *remote.StatusError
		if !errors.As(err, &status) || status.Proxy != proxy ||
			strings.Contains(err.Error(), "proxy") != proxy || strings.Contains(err.Error(), "<") {
			t.Errorf("%q: %v", body, err)
		}
	}
	// A proxy that compresses or rewrites turns strong tags into weak ones.
	l.instead = func(w http.ResponseWriter, r *http.Request, tail string) bool {
		if tail != "/module" {
			return false
		}
		w.Header().Set("ETag", `W/"`+s.head().Root.String()+`"`)
		w.Write(s.modules[0])
		return true
	}
	if _, err := remote.Clone(t.Context(), (&direct{Memory: s.memory}).empty(), c,
		remote.Trust{FirstUse: true}); err != nil {
		t.Errorf("a weak tag: %v", err)
	}
}

func TestClientHeaders(t *testing.T) {
	s := newSite(t, 1, nil)
	l := s.listen()
	var got []http.Header
	l.instead = func(_ http.ResponseWriter, r *http.Request, _ string) bool {
		got = append(got, r.Header.Clone())
		return false
	}
	c := s.client(l, &remote.ClientOptions{UserAgent: "thing/2", Bearer: "secret"})
	for range 2 {
		if _, err := c.Describe(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got[0].Get("User-Agent") != "thing/2" || got[0].Get("Accept-Encoding") != "identity" ||
		got[0].Get("Authorization") != "" {
		t.Errorf("headers %v", got[0])
	}
	for _, h := range []string{"X-Dig-Nonce", "X-Dig-Auth"} {
		if a, b := got[0].Get(h), got[1].Get(h); a == "" || a == b {
			t.Errorf("%s: %q, then %q", h, a, b)
		}
	}
}

// TestClientKeepsConnection checks that the requests of a clone use one connection.
func TestClientKeepsConnection(t *testing.T) {
	s := newSite(t, 40, &server.Options{})
	var opened atomic.Int64
	srv := httptest.NewUnstartedServer(s.server)
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	srv.Start()
	defer srv.Close()
	if _, err := remote.Clone(t.Context(), (&direct{Memory: s.memory}).empty(),
		s.client(&line{Server: srv}, nil), remote.Trust{FirstUse: true}); err != nil {
		t.Fatal(err)
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

// TestClientSigner checks that a failing signer is called once.
func TestClientSigner(t *testing.T) {
	s := newSite(t, 1, nil)
	by := &brokenSigner{Signer: s.identity}
	if _, err := s.client(s.listen(),
		&remote.ClientOptions{Identity: by}).Describe(t.Context()); !errors.Is(err,
		errBroken) || by.asked != 1 {
		t.Errorf("asked %d times: %v", by.asked, err)
	}
}

type brokenSigner struct {
	auth.Signer
	asked int
}

func (b *brokenSigner) Sign(context.Context, []byte) (auth.Signature, error) {
	b.asked++
	return auth.Signature{}, errBroken
}

func TestClientClockSkew(t *testing.T) {
	s := newSite(t, 1, nil)
	l := s.listen()
	c := s.client(l, nil)
	for _, ahead := range []time.Duration{-400 * time.Second, 400 * time.Second} {
		l.instead = func(w http.ResponseWriter, r *http.Request, _ string) bool {
			w.Header().Set("Date", s.now().Add(ahead).Format(http.TimeFormat))
			http.Error(w, "request authentication failed: stale request timestamp", http.StatusUnauthorized)
			return true
		}
		_, err := c.Describe(t.Context())
		if !errors.Is(err, remote.ErrClockSkew) || !errors.Is(err, request.ErrUnauthenticated) ||
			!strings.Contains(err.Error(), "6m40s") {
			t.Errorf("%v ahead: %v", ahead, err)
		}
	}
	l.instead = func(w http.ResponseWriter, r *http.Request, _ string) bool {
		w.Header().Set("Date", s.now().Add(100*time.Second).Format(http.TimeFormat))
		http.Error(w, "request authentication failed: signature does not verify", http.StatusUnauthorized)
		return true
	}
	if _, err := c.Describe(t.Context()); errors.Is(err, remote.ErrClockSkew) ||
		!errors.Is(err, request.ErrUnauthenticated) {
		t.Errorf("clocks agree: %v", err)
	}
}

func TestNewClientRefuses(t *testing.T) {
	id := auth.StoreID{1}
	for _, c := range []struct {
		name string
		u    remote.URL
		o    *remote.ClientOptions
		want error
	}{
		{"no store", remote.URL{Scheme: "dig", Host: "host"}, nil, remote.ErrBadURL},
		{"made by hand", remote.URL{Scheme: "https", Host: "host/evil", Store: id}, nil, remote.ErrBadURL},
		{"plain http", remote.URL{Scheme: "http", Host: "host", Store: id}, nil, remote.ErrInsecure},
		{"unverified TLS", remote.URL{Scheme: "dig", Store: id}, &remote.ClientOptions{TLS: &tls.Config{InsecureSkipVerify: true}}, remote.ErrInsecure},
	} {
		if _, err := remote.NewClient(c.u, c.o); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// TestClientGuard checks that a private address is not dialled but literal loopback is.
func TestClientGuard(t *testing.T) {
	u, err := remote.ParseURL("dig://10.0.0.1/" + testID)
	if err != nil {
		t.Fatal(err)
	}
	c, err := remote.NewClient(u, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Describe(t.Context()); !errors.Is(err, remote.ErrInsecure) {
		t.Errorf("got %v, want ErrInsecure", err)
	}
}

// TestLoopbackHTTP checks that dig:// on loopback uses https, and falls back to plain HTTP only if
// the options allow it.
func TestLoopbackHTTP(t *testing.T) {
	s := newSite(t, 1, nil)
	l := s.listen()
	u, err := remote.ParseURL("dig://" + strings.TrimPrefix(l.URL, "http://") + "/" + s.id.String())
	if err != nil {
		t.Fatal(err)
	}
	for _, allowed := range []bool{false, true} {
		c, err := remote.NewClient(u,
			&remote.ClientOptions{Identity: s.identity, Now: s.now, AllowLoopbackHTTP: allowed, Attempts: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for range 2 {
			if _, err = c.Describe(t.Context()); (err == nil) != allowed {
				t.Errorf("allowed %v: %v", allowed, err)
			}
		}
	}
	equal(t, "requests", l.requests(), []string{"GET", "GET"})
}

// TestTLS reads a dig:// locator over TLS with a private CA, and without it.
func TestTLS(t *testing.T) {
	s := newSite(t, 1, nil)
	srv := httptest.NewTLSServer(s.server)
	defer srv.Close()
	u, err := remote.ParseURL("dig://" + strings.TrimPrefix(srv.URL, "https://") + "/" + s.id.String())
	if err != nil {
		t.Fatal(err)
	}
	for _, trusted := range []bool{true, false} {
		o := &remote.ClientOptions{Identity: s.identity, Now: s.now}
		if trusted {
			o.TLS = srv.Client().Transport.(*http.Transport).TLSClientConfig
		}
		c, err := remote.NewClient(u, o)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var cert *tls.CertificateVerificationError
		if _, err := c.Describe(t.Context()); (err == nil) != trusted ||
			!trusted && !errors.As(err, &cert) {
			t.Errorf("trusted %v: %v", trusted, err)
		}
	}
}

// inBubble runs f in a synctest bubble with a client of an origin that serves h.
func inBubble(t *testing.T, h http.HandlerFunc, o remote.ClientOptions,
	f func(t *testing.T, c *remote.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		origin := remotetest.NewOrigin(h)
		defer origin.Close()
		c, err := origin.Client(auth.StoreID{1}, &o)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		f(t, c)
	})
}

// TestRetry checks the number of attempts, the time between them, and that each has a new
// signature.
func TestRetry(t *testing.T) {
	ok := `{"current_root":"` + strings.Repeat("20", 32) + `"}`
	for _, c := range []struct {
		name      string
		fail      int // attempts that fail first
		code      int // 0: the connection breaks
		after     string
		attempts  int
		min, most time.Duration
		ok        bool
	}{
		{name: "at once", attempts: 1, ok: true},
		{name: "twice unavailable", fail: 2, code: 503, attempts: 3, most: 750 * time.Millisecond, ok: true},
		{name: "three broken connections", fail: 3, attempts: 4, most: 1750 * time.Millisecond, ok: true},
		{name: "four times", fail: 4, code: 502, attempts: 4, most: 1750 * time.Millisecond},
		{name: "as asked", fail: 1, code: 429, after: "9", attempts: 2, min: 9 * time.Second, most: 9 * time.Second, ok: true},
		{name: "as asked, to a minute", fail: 1, code: 504, after: "3600", attempts: 2, min: time.Minute, most: time.Minute, ok: true},
		{name: "not for 500", fail: 1, code: 500, attempts: 1},
		{name: "not for 401", fail: 1, code: 401, attempts: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen := map[string]bool{}
			left := c.fail
			h := func(w http.ResponseWriter, r *http.Request) {
				seen[r.Header.Get("X-Dig-Nonce")] = true
				if left--; left < 0 {
					io.WriteString(w, ok)
					return
				}
				if c.code == 0 {
					panic(http.ErrAbortHandler)
				}
				if c.after != "" {
					w.Header().Set("Retry-After", c.after)
				}
				w.WriteHeader(c.code)
			}
			told := 0
			inBubble(t, h, remote.ClientOptions{OnRetry: func(error, time.Duration) { told++ }},
				func(t *testing.T, client *remote.Client) {
					begin := time.Now()
					_, err := client.Describe(t.Context())
					if took := time.Since(begin); (err == nil) != c.ok || took < c.min || took > c.most {
						t.Errorf("%v after %v, want success %v in %v to %v", err, took, c.ok, c.min, c.most)
					}
				})
			if len(seen) != c.attempts || told != c.attempts-1 {
				t.Errorf("%d attempts with a nonce of their own, %d notices; want %d attempts",
					len(seen), told, c.attempts)
			}
		})
	}
}

// TestNoSilentRepeat checks that net/http does not repeat a signed request after a broken
// connection.
func TestNoSilentRepeat(t *testing.T) {
	n := 0
	h := func(w http.ResponseWriter, _ *http.Request) {
		if n++; n > 1 {
			panic(http.ErrAbortHandler)
		}
		io.WriteString(w, `{"current_root":"`+strings.Repeat("20", 32)+`"}`)
	}
	inBubble(t, h, remote.ClientOptions{Attempts: 1}, func(t *testing.T, c *remote.Client) {
		if _, err := c.Describe(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Describe(t.Context()); err == nil { // on the kept connection
			t.Error("the second request succeeded")
		}
	})
	if n != 2 {
		t.Errorf("%d requests arrived, want 2", n)
	}
}

// TestSlow checks that a client gives up on headers after 30 s, on stalled bodies and on bodies
// below the least rate, but not on slower ones above it. By default a client reads modules of at
// most 1 GiB, as a server does (TestPushInit).
func TestDefaultMaxModule(t *testing.T) {
	for size, want := range map[int]error{1 << 30: nil, 1<<30 + 1: remote.ErrTooLarge} {
		h := func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("ETag", `"`+strings.Repeat("20", 32)+`"`)
			w.Header().Set("Content-Length", strconv.Itoa(size))
			w.Write([]byte("begin"))
		}
		inBubble(t, h, remote.ClientOptions{Attempts: 1}, func(t *testing.T, client *remote.Client) {
			r, err := client.Module(t.Context(), merkle.Hash(bytes.Repeat([]byte{0x20}, 32)))
			if err == nil {
				r.Close()
			}
			if !errors.Is(err, want) {
				t.Errorf("%d bytes: %v, want %v", size, err, want)
			}
		})
	}
}

func TestSlow(t *testing.T) {
	root := merkle.Hash(bytes.Repeat([]byte{0x20}, 32))
	for _, c := range []struct {
		name   string
		before time.Duration // delay of the headers
		pauses []time.Duration
		piece  int
		wait   time.Duration // until the error; 0: none
		least  int64         // bytes per second; 0: the default
		length int           // announced; 0: as sent; -1: none
	}{
		{name: "no headers", before: time.Hour, wait: 30 * time.Second},
		{name: "stands still", pauses: []time.Duration{time.Hour}, piece: 16 << 10, wait: time.Minute},
		{name: "a byte every ten seconds", pauses: slices.Repeat([]time.Duration{10 * time.Second}, 100), piece: 1, wait: time.Minute},
		{name: "277 bytes a second", pauses: slices.Repeat([]time.Duration{59 * time.Second}, 1000), piece: 16 << 10, wait: 76 * time.Second},
		{name: "300 bytes a second", pauses: slices.Repeat([]time.Duration{time.Second}, 10000), piece: 300, wait: 84 * time.Second},
		{name: "of a gigabyte", pauses: slices.Repeat([]time.Duration{time.Second}, 10000), piece: 300, wait: 84 * time.Second, length: 1 << 30},
		{name: "of no announced length", pauses: slices.Repeat([]time.Duration{time.Second}, 10000), piece: 300, wait: 84 * time.Second, length: -1},
		{name: "a fast begin", pauses: append(make([]time.Duration, 1000), time.Hour), piece: 16 << 10, wait: time.Minute},
		{name: "bursts", pauses: slices.Repeat([]time.Duration{59 * time.Second}, 50), piece: 64 << 10},
		{name: "as slow as the least", pauses: slices.Repeat([]time.Duration{time.Second}, 1000), piece: 1 << 10},
		{name: "a lower least", pauses: slices.Repeat([]time.Duration{time.Second}, 1000), piece: 300, least: 300},
		{name: "a higher least", pauses: slices.Repeat([]time.Duration{time.Second}, 1000), piece: 1 << 10, least: 2 << 10, wait: 119 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := func(w http.ResponseWriter, r *http.Request) {
				wait := func(d time.Duration) {
					select {
					case <-time.After(d):
					case <-r.Context().Done():
					}
				}
				wait(c.before)
				w.Header().Set("ETag", `"`+root.String()+`"`)
				piece := make([]byte, c.piece)
				w.Header().Set("Content-Length", strconv.Itoa(cmp.Or(c.length, len(piece)*(1+len(c.pauses)))))
				if c.length < 0 {
					w.Header().Del("Content-Length")
				}
				w.Write(piece)
				for _, d := range c.pauses {
					w.(http.Flusher).Flush()
					wait(d)
					w.Write(piece)
				}
			}
			inBubble(t, h, remote.ClientOptions{Attempts: 1, MinRate: c.least},
				func(t *testing.T, client *remote.Client) {
					begin := time.Now()
					r, err := client.Module(t.Context(), root)
					if err == nil {
						_, err = io.Copy(io.Discard, r)
						r.Close()
					}
					if c.wait == 0 && err != nil || c.wait > 0 && (err == nil || time.Since(begin) != c.wait) {
						t.Errorf("%v after %v", err, time.Since(begin))
					}
					slow := errors.Is(err, os.ErrDeadlineExceeded) && errors.Is(err, remote.ErrTooSlow)
					if c.wait >= time.Minute && !slow {
						t.Errorf("%v is no timeout", err)
					}
				})
		})
	}
}

// A request fails when the host reads none of it for a minute, even if the whole body fits into
// the buffer.
func TestStuckRequest(t *testing.T) {
	for _, size := range []int{100 << 10, 1 << 20} {
		synctest.Test(t, func(t *testing.T) {
			over := make(chan struct{})
			h := func(http.ResponseWriter, *http.Request) { <-over }
			origin := remotetest.NewOrigin(http.HandlerFunc(h))
			defer time.Sleep(time.Second) // the server lingers
			defer origin.Close()
			defer close(over)
			transport, err := remote.NewTransport(&remote.ClientOptions{Dial: origin.Dial})
			if err != nil {
				t.Fatal(err)
			}
			client := http.Client{Transport: transport}
			defer client.CloseIdleConnections()
			begin := time.Now()
			body := io.NopCloser(bytes.NewReader(make([]byte, size)))
			req, _ := http.NewRequestWithContext(t.Context(), "PUT", "http://127.0.0.1/", body)
			req.ContentLength = int64(size)
			resp, err := client.Do(req)
			if err == nil {
				resp.Body.Close()
			}
			if took := time.Since(begin); !errors.Is(err, os.ErrDeadlineExceeded) || took > 2*time.Minute {
				t.Errorf("%d bytes: %v after %v", size, err, took)
			}
		})
	}
}

// A client with a bandwidth limit does not report the resulting slowness as ErrTooSlow.
func TestSlowByOwnBound(t *testing.T) {
	h := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"`+strings.Repeat("20", 32)+`"`)
		w.Write(make([]byte, 200<<10))
	}
	o := remote.ClientOptions{Attempts: 1, Bandwidth: bandwidth.New(512, 0)}
	inBubble(t, h, o, func(t *testing.T, client *remote.Client) {
		r, err := client.Module(t.Context(), merkle.Hash(bytes.Repeat([]byte{0x20}, 32)))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if n, err := io.Copy(io.Discard, r); n != 200<<10 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
}

func TestClientCancel(t *testing.T) {
	h := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	inBubble(t, h, remote.ClientOptions{}, func(t *testing.T, c *remote.Client) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		if _, err := c.Describe(ctx); !errors.Is(err, context.DeadlineExceeded) ||
			time.Since(begin) != time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

// blocked is a Resolver, and an IdentityAt, that blocks until it is released.
type blocked struct {
	asked, gone chan struct{}
}

func (b blocked) wait() {
	b.asked <- struct{}{}
	<-b.gone
}

func (b blocked) Resolve(ctx context.Context, u remote.URL) ([]remote.URL, error) {
	b.wait()
	return []remote.URL{u.AtOrigin()}, nil
}

// TestWaitForAnotherEnds checks that a request that waits for another one to resolve the locator
// or to get the identity ends with its context. So do the methods that read the client's state.
func TestWaitForAnotherEnds(t *testing.T) {
	b := blocked{make(chan struct{}), make(chan struct{})}
	for name, opt := range map[string]*remote.ClientOptions{
		"resolver": {Resolver: b},
		"identity": {IdentityAt: func(string) (auth.Signer, error) { b.wait(); return key(1), nil }},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, 1, nil)
			c := s.client(s.listen(), opt)
			first := make(chan error)
			go func() {
				_, err := c.Describe(t.Context())
				first <- err
			}()
			<-b.asked
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if _, err := c.Describe(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the one that waits: %v", err)
			}
			b.gone <- struct{}{}
			if err := <-first; err != nil {
				t.Errorf("the one that is waited for: %v", err)
			}
		})
	}
}
