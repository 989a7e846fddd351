package rpc_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/rpc"
	"github.com/dig-network/digstore/remote/server"
	serverrpc "github.com/dig-network/digstore/remote/server/rpc"
)

var noLimit = server.Rate{PerSecond: math.Inf(1)}

// A site is a store of some generations behind both tiers.
type site struct {
	publisher *auth.Key
	id        auth.StoreID
	memory    *remotetest.Memory
	contents  *server.ResourceIndex
	server    *server.Server
	handler   *serverrpc.Handler
	heads     []auth.SignedRoot
	modules   [][]byte
}

// noise returns n bytes that do not compress and depend on seed.
func noise(seed uint32, n int) []byte {
	b := make([]byte, n)
	for i, x := 0, 2463534242+seed; i < len(b); i++ {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return b
}

// files returns the content of generation n: a changing file, a constant file, a file of many
// chunks, and several files of several chunks that all change.
func files(n int) fstest.MapFS {
	large := noise(uint32(n), rpc.MaxWindow+2*rpc.Block+12345)
	return fstest.MapFS{
		"new/0":          {Data: noise(uint32(1000+10*n), 150_000)},
		"new/1":          {Data: noise(uint32(1001+10*n), 250_000)},
		"new/2":          {Data: noise(uint32(1002+10*n), 200_000)},
		"index.html":     {Data: fmt.Appendf(nil, "<h1>generation %d</h1>", n)},
		"about.html":     {Data: []byte("the same in every generation")},
		"large.bin":      {Data: large},
		rpc.ManifestName: {Data: []byte(`{"name":"a store"}`)},
	}
}

// newSite returns a site with small generations, unless large is set.
func newSite(t testing.TB, generations int, large bool) *site {
	t.Helper()
	s := &site{publisher: auth.NewKey([32]byte{1})}
	s.id = auth.StoreIDFromKey(s.publisher.PublicKey())
	now := func() time.Time { return time.Unix(1_750_000_000, 0) }
	s.memory = remotetest.NewMemory(s.id, now)
	for n := range generations {
		content := files(n)
		if !large {
			delete(content, "large.bin")
			maps.DeleteFunc(content, func(name string, _ *fstest.MapFile) bool {
				return strings.HasPrefix(name, "new/")
			})
		}
		meta := &module.Metadata{SchemaVersion: 1, Name: fmt.Sprintf("generation %d", n)}
		mod, head, err := remotetest.Module(t.Context(), s.id, s.publisher, content,
			&module.Options{TempDir: t.TempDir(), Metadata: meta})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.memory.Add(t.Context(), head, bytes.NewReader(mod)); err != nil {
			t.Fatal(err)
		}
		s.heads, s.modules = append(s.heads, head), append(s.modules, mod)
	}
	stores := remotetest.NewStores(now, s.memory, remotetest.NewMemory(auth.StoreID{0xee}, now))
	s.contents = server.NewResourceIndex(stores,
		&server.ResourceIndexOptions{Secret: []byte("a secret of the tests")})
	s.server = server.New(stores, &server.Options{Resources: s.contents, MaxInlineModule: 1 << 10,
		Limits: server.Limits{PerIP: noLimit, PerIdentity: noLimit, PerStore: noLimit}})
	s.handler = serverrpc.NewHandler(s.contents, &serverrpc.Options{PerIP: noLimit})
	return s
}

func (s *site) head() merkle.Hash { return s.heads[len(s.heads)-1].Root }

// ServeHTTP serves both tiers.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/stores/") {
		s.server.ServeHTTP(w, r)
		return
	}
	s.handler.ServeHTTP(w, r)
}

// post returns the response to one body.
func post(h http.Handler, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "/", strings.NewReader(body))
	h.ServeHTTP(w, r)
	return w
}

// ask makes one call and decodes its result into v.
func ask(t testing.TB, h http.Handler, method string, params any, v any) *rpc.Error {
	t.Helper()
	text, err := json.Marshal(params)
	if err != nil {
		t.Fatal(err)
	}
	w := post(h, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"%s","params":%s}`, method, text))
	var answer struct {
		Version string          `json:"jsonrpc"`
		ID      int             `json:"id"`
		Result  json.RawMessage `json:"result"`
		Err     *rpc.Error      `json:"error"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != 200 || answer.ID != 1 ||
		answer.Version != "2.0" {
		t.Fatalf("%s: %d %v %.200s", method, w.Code, err, w.Body)
	}
	if answer.Err == nil && v != nil {
		dec := json.NewDecoder(bytes.NewReader(answer.Result))
		dec.DisallowUnknownFields()
		if err := dec.Decode(v); err != nil {
			t.Fatalf("%s: %v", method, err)
		}
	}
	return answer.Err
}

// client returns a client over real HTTP.
func client(t testing.TB, h http.Handler, o *rpc.ClientOptions) *rpc.Client {
	t.Helper()
	origin := remotetest.NewOrigin(h)
	t.Cleanup(func() { origin.Close() })
	transport, err := remote.NewTransport(&remote.ClientOptions{Dial: origin.Dial})
	if err != nil {
		t.Fatal(err)
	}
	var opt rpc.ClientOptions
	if o != nil {
		opt = *o
	}
	opt.Transport = transport
	if opt.Attempts == 0 {
		opt.Attempts = 1
	}
	u, err := remote.ParseURL("http://127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	c, err := rpc.NewClient(u, &opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func readAll(t testing.TB, r io.ReadCloser, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// add publishes one more generation, of one file.
func (s *site) add(t testing.TB, o *module.Options) {
	t.Helper()
	mod, head, err := remotetest.Module(t.Context(), s.id, s.publisher,
		fstest.MapFS{"one": {Data: []byte("one")}}, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.memory.Add(t.Context(), head, bytes.NewReader(mod)); err != nil {
		t.Fatal(err)
	}
	s.heads, s.modules = append(s.heads, head), append(s.modules, mod)
}
