package server_test

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/server"
)

// TestTranscripts compares every route's requests and responses with testdata/transcripts. Keys,
// clock and nonces are fixed, so every byte is reproducible.
func TestTranscripts(t *testing.T) {
	objects := new(shelf)
	for _, tc := range []struct {
		name        string
		generations int
		opt         *server.Options
		play        func(s *site)
	}{
		{"descriptor", 2, nil, func(s *site) {
			s.do("GET", s.path(""), nil)
			s.do("HEAD", s.path(""), nil)
			s.do("POST", s.path("/tombstone"), strings.NewReader(s.tombstone(auth.Tombstone{Store: s.id, Root: s.heads[0].Root, NotAfter: 1_700_000_000, Reason: auth.Superseded}, s.publisher)), asJSON)
			s.do("GET", s.path(""), nil)
			s.do("GET", "/stores/"+auth.StoreID{1}.String(), nil)
			s.do("HEAD", "/stores/"+auth.StoreID{1}.String(), nil)
			s.do("GET", "/stores/short", nil)
			s.do("GET", s.path("/nothing"), nil)
		}},
		{"roots", 2, nil, func(s *site) {
			s.do("GET", s.path("/roots"), nil)
			s.do("HEAD", s.path("/roots"), nil)
			s.do("POST", s.path("/roots"), nil)
			s.do("GET", "/stores/"+auth.StoreID{1}.String()+"/roots", nil)
			s.do("HEAD", "/stores/"+auth.StoreID{1}.String()+"/roots", nil)
		}},
		{"module", 2, nil, func(s *site) {
			head := s.path("/module?root=" + s.head().Root.String())
			s.do("GET", head, nil)
			s.do("HEAD", head, nil)
			s.do("GET", head, nil, set("If-None-Match", `"`+s.head().Root.String()+`"`))
			s.do("GET", head, nil, set("Range", "bytes=4-7"))
			s.do("HEAD", head, nil, set("If-None-Match", `"`+s.head().Root.String()+`"`))
			s.do("GET", head, nil, set("Range", "bytes=-4"), set("If-Range", `"`+s.head().Root.String()+`"`))
			s.do("GET", head, nil, set("Range", "bytes=-4"), set("If-Range", `"`+s.heads[0].Root.String()+`"`))
			s.do("HEAD", head, nil, set("Range", "bytes=4-7"))
			s.do("GET", head, nil, set("Range", "bytes=99999999-"))
			s.do("GET", head, nil, set("Range", "bytes=99999999-"), set("Accept", "application/json"))
			s.do("GET", s.path("/module?root="+s.heads[0].Root.String()), nil)
			s.do("GET", s.path("/module?root=12"), nil)
			s.do("DELETE", head, nil)
			s.do("HEAD", s.path("/module?root="+merkle.Hash{1}.String()), nil)
			s.do("GET", s.path("/module?root="+merkle.Hash{1}.String()), nil)
			s.do("GET", s.path("/module?root="+merkle.Hash{1}.String()), nil, set("Accept", "application/json"))
		}},
		{"push", 1, nil, func(s *site) {
			mod, head := s.next()
			parent := s.head().Root
			announce := s.announcement(head, parent, mod)
			s.do("POST", s.path("/module/upload"), strings.NewReader(announce), pushHeaders(head, parent))
			s.put(head, head.Root, mod)
			s.put(head, parent, mod)
			s.put(head, parent, mod)
			s.do("POST", s.path("/module/upload"), strings.NewReader(announce), pushHeaders(head, parent))
			s.do("POST", s.path("/module/complete"), strings.NewReader(`{"upload_id":"x","new_root":"x"}`), pushHeaders(head, parent))
		}},
		{"pending", 1, nil, func(s *site) {
			mod, head := s.next()
			s.put(head, s.head().Root, mod, set("X-Dig-Push-Mode", "pending"))
			s.do("GET", s.path("/roots"), nil)
			s.put(head, s.head().Root, mod)
			s.do("GET", s.path("/roots"), nil)
		}},
		{"tombstone", 1, nil, func(s *site) {
			body := s.tombstone(auth.Tombstone{Store: s.id, NotAfter: 1_700_000_000, Reason: auth.Takedown}, s.publisher)
			s.do("POST", s.path("/tombstone"), strings.NewReader(body), asJSON)
			s.do("POST", s.path("/tombstone"), strings.NewReader("{}"), asJSON)
			s.do("POST", s.path("/tombstone"), strings.NewReader(body))
			mod, head := s.next()
			s.put(head, s.head().Root, mod)
		}},
		{"refused-pushes", 2, &server.Options{Credential: server.Credentials{"push": "sesame"}.Check, MaxModule: 10_000}, func(s *site) {
			mod, head := s.next()
			parent := s.head().Root
			s.put(head, parent, mod, del("X-Dig-Parent"))
			s.put(head, parent, mod, set("X-Dig-Root", parent.String()))
			s.put(head, parent, mod, set("X-Dig-Push-Mode", "never"))
			s.put(head, parent, mod, set("X-Dig-Signature", "12"))
			s.put(head, parent, mod, set("X-Dig-Signature", s.heads[0].Tagged.String()))
			s.put(s.heads[0], parent, s.modules[0])
			s.put(head, parent, make([]byte, 10_001))
			s.put(head, parent, mod[:500])
			other := key(0x11)
			stranger, first := s.build(auth.StoreIDFromKey(other.PublicKey()), other, 0)
			s.put(first, merkle.Hash{}, stranger)
			s.put(first, merkle.Hash{}, stranger, set("Authorization", "Bearer sesame"))
			s.do("POST", s.path("/module/upload"), strings.NewReader("{"), pushHeaders(head, parent))
			s.do("POST", s.path("/module/upload"), strings.NewReader(s.announcement(head, head.Root, mod)), pushHeaders(head, parent))
		}},
		{"presigned", 1, &server.Options{Objects: objects}, func(s *site) {
			mod, head := s.next()
			s.announce(head, s.head().Root, mod)
			s.complete(head)
			s.announce(head, s.head().Root, mod)
			objects.object = mod
			s.complete(head, set("X-Dig-Push-Mode", "pending"))
			s.complete(head)
			s.complete(head)
			s.complete(head, set("X-Dig-Signature", s.heads[0].Tagged.String()))
		}},
		{"forbidden", 1, &server.Options{Authorize: func(context.Context, auth.PublicKey, request.Op, auth.StoreID) error { return fs.ErrPermission }}, func(s *site) {
			s.do("GET", s.path(""), nil)
			s.do("HEAD", s.path("/module"), nil)
			s.do("POST", s.path("/content"), strings.NewReader("{}"), set("Accept", "application/json"))
		}},
		{"limited", 1, &server.Options{Limits: server.Limits{PerIP: server.Rate{PerSecond: 0.1, Burst: 2}}, MaxInlineModule: 1000}, func(s *site) {
			s.do("GET", s.path("/module"), nil)
			s.do("HEAD", s.path("/module"), nil)
			s.do("GET", s.path("/module"), nil)
			s.do("GET", s.path("/module"), nil, set("Accept", "application/json"))
		}},
		{"withheld", 2, &server.Options{WithholdRevoked: true}, func(s *site) {
			body := s.tombstone(auth.Tombstone{Store: s.id, Root: s.heads[0].Root, NotAfter: 1_700_000_000}, s.publisher)
			s.do("POST", s.path("/tombstone"), strings.NewReader(body), asJSON)
			s.do("GET", s.path("/module?root="+s.heads[0].Root.String()), nil)
			s.do("POST", s.path("/content"), strings.NewReader(contentBody(merkle.Hash{1}, s.heads[0].Root, "")), asJSON)
			s.do("POST", s.path("/proof"), strings.NewReader(contentBody(merkle.Hash{1}, s.heads[0].Root, "")), asJSON)
		}},
		{"out-of-order", 1, nil, func(s *site) {
			s.serve(failingBackend{s.stores}, nil)
			s.do("GET", s.path(""), nil)
			s.do("GET", s.path(""), nil, set("Accept", "application/json"))
			s.serve(s.stores, &server.Options{Authenticator: &request.Authenticator{Now: s.now, Start: start, Nonces: request.NewNonces(&request.NoncesOptions{Max: 1})}})
			s.do("GET", s.path(""), nil)
			mod, head := s.next()
			s.put(head, s.head().Root, mod)
		}},
		{"replayed", 1, nil, func(s *site) {
			r := s.request("GET", s.path("/roots"), nil)
			for range 2 {
				w := httptest.NewRecorder()
				s.server.ServeHTTP(w, r)
				record(s.transcript, r, nil, w.Result(), w.Body.Bytes())
			}
		}},
		{"unauthenticated", 1, nil, func(s *site) {
			unsigned := set("X-Dig-Auth", "00")
			s.do("GET", s.path(""), nil, unsigned)
			s.do("GET", s.path(""), nil, unsigned, set("Accept", "application/json"))
			s.do("HEAD", s.path("/module"), nil, unsigned)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSite(t, tc.generations, tc.opt)
			var got bytes.Buffer
			s.transcript = &got
			tc.play(s)
			golden(t, filepath.Join("transcripts", tc.name+".txt"), got.Bytes())
		})
	}
}

// A shelf is an object store with one object and a constant URL.
type shelf struct{ object []byte }

// Presign implements server.ObjectStore.
func (b *shelf) Presign(context.Context, server.Upload) (string, error) {
	return "https://bucket.example/a-secret", nil
}

// Open implements server.ObjectStore.
func (b *shelf) Open(context.Context, string) (io.ReadCloser, error) {
	if b.object == nil {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(b.object)), nil
}

// Remove implements server.ObjectStore.
func (b *shelf) Remove(context.Context, string) error { b.object = nil; return nil }
