package server_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/server"
)

// TestCacheableReads: with anonymous reads, GET of a resource needs no signature. It returns the
// bytes of the POST route, decoys included, with an ETag, and is cacheable if it names the root.
func TestCacheableReads(t *testing.T) {
	s := newSite(t, 2, nil)
	for _, kind := range []server.DecoyKind{server.DecoyKeyed, server.DecoyReference,
		server.DecoyGuest} {
		contents := server.NewResourceIndex(s.stores,
			&server.ResourceIndexOptions{Secret: []byte("a secret"), Decoys: kind})
		s.serve(s.stores, &server.Options{Resources: contents, Limits: noLimit, Anonymous: true})
		unsigned := set("X-Dig-Auth", "-")
		tags := map[string]string{}
		for _, key := range []merkle.Hash{urn.RetrievalKey(s.id, "deep/in/here"),
			urn.RetrievalKey(s.id, "not there"), {7}} {
			for i, head := range s.heads {
				posted, _ := s.content(t, key, head.Root, "")
				path := s.path("/content/" + key.String())
				pinned := path + "?root=" + head.Root.String()
				res := s.do("GET", pinned, nil, unsigned)
				tag := res.Header.Get("ETag")
				if cc := res.Header.Get("Cache-Control"); !strings.Contains(cc, "public") ||
					!strings.Contains(cc, "immutable") {
					t.Errorf("Cache-Control %q", cc)
				}
				if len(tag) != 66 || tag[0] != '"' || res.Header.Get("X-Dig-Root") != head.Root.String() {
					t.Errorf("ETag %s, root %s", tag, res.Header.Get("X-Dig-Root"))
				}
				want(t, res, 200, string(posted.Ciphertext))
				if other, ok := tags[tag]; ok && other != string(posted.Ciphertext) {
					t.Error("two contents have one ETag")
				}
				tags[tag] = string(posted.Ciphertext)

				want(t, s.do("GET", pinned, nil, unsigned, set("If-None-Match", tag)), 304, "")
				want(t, s.do("GET", pinned, nil, unsigned, set("If-None-Match", `"x"`)), 200, "*")
				want(t, s.do("HEAD", pinned, nil, unsigned), 200, "")
				want(t, s.do("GET", pinned, nil, unsigned, set("Range", "bytes=3-9")), 206,
					string(posted.Ciphertext[3:10]))
				part := s.do("GET", pinned+"&range=3-10", nil, unsigned)
				if part.Header.Get("ETag") == tag {
					t.Error("a part has the ETag of the whole")
				}
				want(t, part, 200, string(posted.Ciphertext[3:10]))
				want(t, s.do("GET", pinned+"&range=3-9999999999", nil, unsigned), 200,
					string(posted.Ciphertext[3:]))
				want(t, s.do("GET", pinned+"&range=9999999999-9999999999", nil, unsigned), 200, "")

				res = s.do("GET", path, nil, unsigned) // the head's
				if cc := res.Header.Get("Cache-Control"); strings.Contains(cc, "immutable") {
					t.Errorf("without a root: Cache-Control %q", cc)
				}
				if text, err := io.ReadAll(res.Body); err != nil ||
					i == len(s.heads)-1 && string(text) != string(posted.Ciphertext) {
					t.Errorf("without a root: other bytes, %v", err)
				}
			}
		}
	}
}

// TestCacheableReadsRefused: requests that the route refuses.
func TestCacheableReadsRefused(t *testing.T) {
	s := newSite(t, 1, nil)
	s.serve(s.stores, &server.Options{Limits: noLimit, Anonymous: true})
	key, root := urn.RetrievalKey(s.id, "index.html").String(), s.head().Root.String()
	unsigned := set("X-Dig-Auth", "-")
	for _, c := range []struct {
		method, tail string
		status       int
		text         string
	}{
		{"GET", "/content/", 404, "not found"},
		{"GET", "/content/" + key[:62], 400, "bad request: bad retrieval key"},
		{"GET", "/content/" + key + "/", 400, "bad request: bad retrieval key"},
		{"GET", "/content/" + key + "?root=", 400, "bad request: bad root"},
		{"GET", "/content/" + key + "?root=zz", 400, "bad request: bad root"},
		{"GET", "/content/" + key + "?root=" + merkle.Hash{9}.String(), 404, "unknown root"},
		{"GET", "/content/" + key + "?range=5", 400, "bad request: bad range"},
		{"GET", "/content/" + key + "?range=5-4", 400, "bad request: bad range"},
		{"GET", "/content/" + key + "?range=05-9", 400, "bad request: bad range"},
		{"GET", "/content/" + key + "?range=-9", 400, "bad request: bad range"},
		{"GET", "/content/" + key + "?range=1-18446744073709551615", 400, "bad request: bad range"},
		{"PUT", "/content/" + key, 405, "method not allowed"},
		{"GET", "/content", 405, "method not allowed"},
	} {
		want(t, s.do(c.method, s.path(c.tail), nil, unsigned), c.status, c.text)
	}
	s.serve(s.stores, &server.Options{Limits: noLimit})
	path := s.path("/content/" + key + "?root=" + root)
	want(t, s.do("GET", path, nil), 401, "request authentication failed: missing X-Dig-Identity")
	r := s.request("POST", s.path("/content"), nil) // signed for content
	r.Method, r.URL.Path, r.URL.RawQuery = http.MethodGet, s.path("/content/"+key), "root="+root
	res := s.answer(r)
	if cc := res.Header.Get("Cache-Control"); !strings.Contains(cc, "no-store") {
		t.Errorf("where reads are signed: Cache-Control %q", cc)
	}
	want(t, res, 200, "*")
}
