package server_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/dig-network/digstore/remote/server"
)

// FuzzServer sends arbitrary requests: there is no panic, no redirect and no status 500, and the
// response contains nothing from the request but the requested roots and bytes.
func FuzzServer(f *testing.F) {
	s := newSite(f, 2,
		&server.Options{Anonymous: true, AnonymousWrites: true, Policy: server.TrustOnFirstUse{},
			Credential: server.Credentials{"push": "sesame"}.Check, Limits: noLimit, MaxModule: 1 << 20})
	mod, head := s.next()
	f.Add("GET", s.path(""), "Accept", "application/json", []byte(nil))
	f.Add("GET", s.path("/module"), "Range", "bytes=1-2", []byte(nil))
	f.Add("HEAD", s.path("/module?root="+s.head().Root.String()), "If-None-Match", "*", []byte(nil))
	f.Add("PUT", s.path("/module?root="+head.Root.String()), "X-Dig-Parent",
		s.head().Root.String(), mod)
	f.Add("PUT", "/stores/"+strings.Repeat("ab", 32)+"/module?root="+head.Root.String(),
		"X-Dig-Parent", strings.Repeat("0", 64), mod)
	f.Add("POST", s.path("/module/upload"), "X-Dig-Signature", head.Tagged.String(), []byte(`{"new_root":"`+head.Root.String()+`"}`))
	f.Add("POST", s.path("/tombstone"), "Content-Type", "application/json", []byte(`{"record":"00","signature":"00"}`))
	f.Add("GET", "//stores/../x", "X-Forwarded-For", "::1, 127.0.0.1", []byte(nil))
	f.Fuzz(func(t *testing.T, method, target, name, value string, body []byte) {
		r, err := http.NewRequest(method, "http://localhost"+target, bytes.NewReader(body))
		if err != nil {
			return
		}
		r.RemoteAddr = "192.0.2.1:1"
		for k, v := range map[string]string{"X-Dig-Root": head.Root.String(),
			"X-Dig-Parent": s.head().Root.String(), "X-Dig-Signature": head.Untagged.String()} {
			r.Header.Set(k, v)
		}
		r.Header.Add(name, value)
		w := httptest.NewRecorder()
		s.server.ServeHTTP(w, r)
		if w.Code >= 500 || w.Code >= 300 && w.Code < 400 && w.Code != http.StatusNotModified {
			t.Fatalf("%s %s: %d %s", method, target, w.Code, w.Body)
		}
		if strings.Contains(w.Body.String(), marker) {
			t.Fatal("the answer repeats the request")
		}
	})
}

const marker = "<script>"

// TestNothingIsReflected puts the same words everywhere in requests and looks for them in the
// responses.
func TestNothingIsReflected(t *testing.T) {
	s := newSite(t, 1, &server.Options{Anonymous: true, AnonymousWrites: true,
		Credential: server.Credentials{"push": "sesame"}.Check})
	escaped := strings.NewReplacer("<", "%3C", ">", "%3E").Replace(marker)
	everywhere := func(r *http.Request) {
		for _, name := range []string{"X-Dig-Root", "X-Dig-Parent", "X-Dig-Signature",
			"X-Dig-Push-Mode", "Range", "Accept",
			"If-None-Match", "Content-Type", "Authorization", "X-Dig-Identity", "User-Agent"} {
			r.Header.Set(name, marker)
		}
	}
	for _, id := range []string{s.id.String(), escaped} {
		for _, route := range everyRoute {
			for _, accept := range []string{"application/json", "text/plain"} {
				res := s.do(route.method, "/stores/"+id+route.tail+"?root="+escaped, strings.NewReader(marker),
					everywhere, set("Accept", accept))
				body, _ := io.ReadAll(res.Body)
				if bytes.Contains(body, []byte("script")) ||
					strings.Contains(headerText(res.Header), "script") {
					t.Errorf("%s %s: %v %s", route.method, route.tail, res.Header, body)
				}
			}
		}
	}
}

func headerText(h http.Header) string {
	var b strings.Builder
	h.Write(&b)
	return b.String()
}
