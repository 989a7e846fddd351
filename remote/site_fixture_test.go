package remote_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/server"
)

// start is the initial time of the fixtures' clock.
var start = time.Unix(1_750_000_000, 0).UTC()

// key returns the key whose seed is 32 times b.
func key(b byte) *auth.Key {
	var seed [32]byte
	for i := range seed {
		seed[i] = b
	}
	return auth.NewKey(seed)
}

// files returns the content of generation n.
func files(n int) fstest.MapFS {
	return fstest.MapFS{
		"index.html":   {Data: fmt.Appendf(nil, "<h1>generation %d</h1>", n)},
		"always.txt":   {Data: []byte("the same in every generation")},
		"deep/in/here": {Data: bytes.Repeat([]byte{byte(n)}, 3000)},
	}
}

// A site is a server over a store in memory, its keys, and a clock that the test sets.
type site struct {
	t         testing.TB
	publisher *auth.Key
	identity  *auth.Key
	id        auth.StoreID
	memory    *remotetest.Memory
	stores    *remotetest.Stores
	server    *server.Server
	heads     []auth.SignedRoot
	modules   [][]byte

	clock  atomic.Int64 // unix seconds
	nonces atomic.Uint64

	transcript *bytes.Buffer // nil: not written
}

// newSite returns a site that serves one store of n generations.
func newSite(t testing.TB, generations int, o *server.Options) *site {
	t.Helper()
	s := &site{t: t, publisher: key(0x2a), identity: key(0x63)}
	s.clock.Store(start.Unix())
	s.id = auth.StoreIDFromKey(s.publisher.PublicKey())
	s.memory = remotetest.NewMemory(s.id, s.now)
	for n := range generations {
		mod, head := s.build(s.id, s.publisher, n)
		if err := s.memory.Add(t.Context(), head, bytes.NewReader(mod)); err != nil {
			t.Fatal(err)
		}
		s.heads, s.modules = append(s.heads, head), append(s.modules, mod)
	}
	s.stores = remotetest.NewStores(s.now, s.memory)
	s.serve(s.stores, o)
	return s
}

// serve starts a server of b with options o.
func (s *site) serve(b server.Backend, o *server.Options) {
	var opt server.Options
	if o != nil {
		opt = *o
	}
	opt.Now = s.now
	s.server = server.New(b, &opt)
}

func (s *site) now() time.Time { return time.Unix(s.clock.Load(), 0).UTC() }

// build returns the module of generation n of any store.
func (s *site) build(id auth.StoreID, by *auth.Key, n int) ([]byte, auth.SignedRoot) {
	s.t.Helper()
	mod, head, err := remotetest.Module(s.t.Context(), id, by, files(n),
		&module.Options{TempDir: s.t.TempDir()})
	if err != nil {
		s.t.Fatal(err)
	}
	return mod, head
}

func (s *site) head() auth.SignedRoot { return s.heads[len(s.heads)-1] }

func (s *site) path(tail string) string { return "/stores/" + s.id.String() + tail }

// A header changes a request before it is sent.
type header func(*http.Request)

func set(name, value string) header { return func(r *http.Request) { r.Header.Set(name, value) } }

// request returns a request signed for its route with a new nonce.
func (s *site) request(method, target string, body io.Reader, hs ...header) *http.Request {
	s.t.Helper()
	r := httptest.NewRequestWithContext(s.t.Context(), method, target, body)
	r.Header.Set("User-Agent", "test/1")
	for _, h := range hs {
		h(r)
	}
	s.sign(r, s.identity)
	return r
}

func (s *site) sign(r *http.Request, by *auth.Key) {
	s.t.Helper()
	rest := strings.TrimPrefix(r.URL.Path, "/stores/")
	id, tail := rest, ""
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		id, tail = rest[:i], rest[i:]
	}
	op, ok := request.OpOf(r.Method, tail)
	store, err := auth.ParseStoreID(id)
	if !ok || err != nil || r.Header.Get("X-Dig-Auth") != "" {
		return
	}
	nonce := sha256.Sum256(fmt.Appendf(nil, "nonce %d", s.nonces.Add(1)))
	if err := request.SignAt(r, op, store, by, s.now(), nonce); err != nil {
		s.t.Fatal(err)
	}
}

// do makes a request and returns the answer, without a network.
func (s *site) do(method, target string, body io.Reader, hs ...header) *http.Response {
	s.t.Helper()
	if s.transcript == nil {
		return s.answer(s.request(method, target, body, hs...))
	}
	var sent bytes.Buffer
	if body != nil {
		if _, err := sent.ReadFrom(body); err != nil {
			s.t.Fatal(err)
		}
	}
	r := s.request(method, target, bytes.NewReader(sent.Bytes()), hs...)
	w := httptest.NewRecorder()
	s.server.ServeHTTP(w, r)
	record(s.transcript, r, sent.Bytes(), w.Result(), w.Body.Bytes())
	return w.Result()
}

// answer returns the answer to a request.
func (s *site) answer(r *http.Request) *http.Response {
	s.t.Helper()
	w := httptest.NewRecorder()
	s.server.ServeHTTP(w, r)
	return w.Result()
}

// put pushes a module.
func (s *site) put(head auth.SignedRoot, parent merkle.Hash, mod []byte,
	hs ...header) *http.Response {
	s.t.Helper()
	hs = append([]header{pushHeaders(head, parent)}, hs...)
	return s.do("PUT", "/stores/"+head.Store.String()+"/module?root="+head.Root.String(),
		bytes.NewReader(mod), hs...)
}

func pushHeaders(head auth.SignedRoot, parent merkle.Hash) header {
	return func(r *http.Request) {
		r.Header.Set("X-Dig-Parent", parent.String())
		r.Header.Set("X-Dig-Root", head.Root.String())
		r.Header.Set("X-Dig-Signature", head.Untagged.String())
		r.Header.Set("X-Dig-Signature-Tagged", head.Tagged.String())
	}
}

// want checks the status of an answer and, unless it is "*", its body.
func want(t testing.TB, res *http.Response, status int, body string) {
	t.Helper()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != status || body != "*" && string(got) != body {
		t.Fatalf("got %d %q, want %d %q", res.StatusCode, clip(got), status, clip([]byte(body)))
	}
}

func clip(b []byte) []byte { return b[:min(len(b), 200)] }

func del(name string) header { return func(r *http.Request) { r.Header.Del(name) } }

// announcement returns the body of a push-init.
func (s *site) announcement(head auth.SignedRoot, parent merkle.Hash, mod []byte) string {
	return fmt.Sprintf(`{"parent_root":"%s","new_root":"%s","program_hash":"%s",`+
		`"size_bytes":%d,"store_pubkey":"%s"}`,
		parent, head.Root, merkle.Sum(mod), len(mod), head.PublicKey)
}
