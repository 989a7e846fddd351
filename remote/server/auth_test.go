package server_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/remote/server"
)

// everyRoute has one request for each route. Each needs a signature.
var everyRoute = []struct{ method, tail string }{
	{"GET", ""}, {"HEAD", ""}, {"GET", "/roots"}, {"HEAD", "/roots"}, {"GET", "/module"}, {"HEAD", "/module"},
	{"PUT", "/module"}, {"POST", "/module/upload"}, {"POST", "/module/complete"}, {"POST", "/tombstone"},
	{"POST", "/content"}, {"POST", "/proof"}, {"GET", "/delta"}, {"HEAD", "/delta"}, {"POST", "/delta"},
}

func TestEveryRouteIsAuthenticated(t *testing.T) {
	s := newSite(t, 1, nil)
	const failed = "request authentication failed: "
	other := key(0x64)
	for _, tc := range []struct {
		name   string
		change func(*http.Request)
		reason string
	}{
		{"no identity", func(r *http.Request) { r.Header.Del("X-Dig-Identity") }, "missing X-Dig-Identity"},
		{"no timestamp", func(r *http.Request) { r.Header.Del("X-Dig-Timestamp") }, "missing/invalid X-Dig-Timestamp"},
		{"no nonce", func(r *http.Request) { r.Header.Del("X-Dig-Nonce") }, "missing X-Dig-Nonce"},
		{"no signature", func(r *http.Request) { r.Header.Del("X-Dig-Auth") }, "missing X-Dig-Auth"},
		{"stale", func(r *http.Request) { r.Header.Set("X-Dig-Timestamp", "1") }, "stale request timestamp"},
		{"other identity", func(r *http.Request) { r.Header.Set("X-Dig-Identity", other.PublicKey().String()) }, "signature does not verify"},
		{"other nonce", func(r *http.Request) { r.Header.Set("X-Dig-Nonce", strings.Repeat("5", 64)) }, "signature does not verify"},
		{"other store", func(r *http.Request) {
			r.URL.Path = strings.Replace(r.URL.Path, s.id.String(), strings.Repeat("ab", 32), 1)
		}, "signature does not verify"},
		{"infinity", func(r *http.Request) { r.Header.Set("X-Dig-Identity", "c0"+strings.Repeat("00", 47)) }, "bad identity public key"},
		{"signed for another route", func(r *http.Request) {
			other := request.Content
			if strings.HasSuffix(r.URL.Path, "/content") {
				other = request.Proof
			}
			if err := request.SignAt(r, other, s.id, s.identity, s.now(), [32]byte{1}); err != nil {
				t.Fatal(err)
			}
		}, "signature does not verify"},
	} {
		for _, route := range everyRoute {
			t.Run(tc.name+" "+route.method+" "+route.tail, func(t *testing.T) {
				body := &touched{}
				r := s.request(route.method, s.path(route.tail), body)
				tc.change(r)
				text := failed + tc.reason
				if route.method == "HEAD" {
					text = ""
				}
				want(t, s.answer(r), 401, text)
				if body.read {
					t.Error("the body was read")
				}
			})
		}
	}
}

func TestReplay(t *testing.T) {
	s := newSite(t, 1, nil)
	for _, route := range everyRoute {
		if route.method == "HEAD" {
			continue
		}
		t.Run(route.method+" "+route.tail, func(t *testing.T) {
			r := s.request(route.method, s.path(route.tail), nil)
			if got := s.answer(r).StatusCode; got == 401 {
				t.Fatalf("the first time: %d", got)
			}
			want(t, s.answer(r), 401, "request authentication failed: replayed nonce")
			r.URL.RawQuery = "root=" + s.head().Root.String() // the query is not signed
			want(t, s.answer(r), 401, "request authentication failed: replayed nonce")
		})
	}
	t.Run("across a restart", func(t *testing.T) {
		get, put := s.request("GET", s.path(""), nil), s.request("PUT", s.path("/module"), nil)
		s.clock.Add(10)
		s.serve(s.stores, nil)
		want(t, s.answer(get), 200, "*") // reads are accepted after a restart
		want(t, s.answer(put), 401, "request authentication failed: stale request timestamp")
	})
}

func TestAnonymous(t *testing.T) {
	s := newSite(t, 1, &server.Options{Anonymous: true})
	// stops the fixture from signing
	unsigned := func(r *http.Request) { r.Header.Set("X-Dig-Auth", "-") }
	mod, head := s.next()
	put := func() *http.Response {
		return s.put(head, s.head().Root, mod, unsigned)
	}
	for _, tail := range []string{"", "/roots", "/module"} {
		want(t, s.do("GET", s.path(tail), nil, unsigned), 200, "*")
	}
	want(t, put(), 401, "request authentication failed: missing X-Dig-Identity")
	want(t, s.do("POST", s.path("/tombstone"), nil, unsigned), 401,
		"request authentication failed: missing X-Dig-Identity")
	s.serve(s.stores, &server.Options{Anonymous: true, AnonymousWrites: true})
	want(t, put(), 201, "")
	want(t, s.do("GET", s.path("/module"), nil, unsigned), 200, string(mod))
	s.serve(s.stores, &server.Options{AnonymousWrites: true}) // has no effect without Anonymous
	want(t, s.do("GET", s.path(""), bytes.NewReader(nil), unsigned), 401,
		"request authentication failed: missing X-Dig-Identity")
}
