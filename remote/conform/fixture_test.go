package conform_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/conform"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/server"
	"github.com/dig-network/digstore/remote/server/rpc"
)

var noLimit = server.Rate{PerSecond: math.Inf(1)}

// noise returns n incompressible bytes that depend on seed.
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

// files returns the content of generation n: a small file, a file of the given size, and a tree in
// which every file of several chunks changes with every generation.
func files(tree corpus.Tree, n, size int) fs.FS {
	all := tree.Clone()
	for i := range n {
		all = corpus.Edits()[2+i].Apply(all, uint64(i)) // new content, then bytes at the front
	}
	all["index.html"] = fmt.Appendf(nil, "<h1>generation %d</h1>", n)
	all["same.txt"] = []byte("the same in every generation, and a little longer than the page")
	all["large.bin"] = noise(0, size)
	return all.FS()
}

// A world is what all sites share: three modules and their heads.
type world struct {
	publisher *auth.Key
	id        auth.StoreID
	heads     []auth.SignedRoot
	modules   [][]byte
}

func newWorld(t testing.TB, tree corpus.Tree, size int) *world {
	t.Helper()
	w := &world{publisher: auth.NewKey([32]byte{1})}
	w.id = auth.StoreIDFromKey(w.publisher.PublicKey())
	for n := range 3 {
		mod, head, err := remotetest.Module(context.Background(), w.id, w.publisher, files(tree, n, size),
			&module.Options{TempDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		w.heads, w.modules = append(w.heads, head), append(w.modules, mod)
	}
	return w
}

// memory returns a backend with only the world's store.
func (w *world) memory(t testing.TB) *remotetest.Stores {
	t.Helper()
	m := remotetest.NewMemory(w.id, nil)
	for n := range w.heads {
		if err := m.Add(context.Background(), w.heads[n], bytes.NewReader(w.modules[n])); err != nil {
			t.Fatal(err)
		}
	}
	return remotetest.NewStores(nil, m)
}

// serve returns an origin of a backend with both tiers. Unless o says otherwise it accepts first
// pushes and has no limits.
func serve(b server.Backend, o *server.Options) http.Handler {
	opt := server.Options{Policy: server.TrustOnFirstUse{},
		Limits: server.Limits{PerIP: noLimit, PerIdentity: noLimit, PerStore: noLimit}}
	if o != nil {
		limits := opt.Limits
		if opt = *o; opt.Policy == nil {
			opt.Policy = server.TrustOnFirstUse{}
		}
		if opt.Limits == (server.Limits{}) {
			opt.Limits = limits
		}
	}
	srv := server.New(b, &opt)
	tier := rpc.NewHandler(srv.Resources(), &rpc.Options{PerIP: noLimit})
	return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/stores/") {
			srv.ServeHTTP(out, r)
			return
		}
		if objects, ok := opt.Objects.(*shelf); ok && strings.HasPrefix(r.URL.Path, "/objects/") {
			objects.ServeHTTP(out, r)
			return
		}
		tier.ServeHTTP(out, r)
	})
}

// A shelf is an object store at the origin itself.
type shelf struct {
	mu     sync.Mutex
	bodies map[string][]byte
}

func newShelf() *shelf { return &shelf{bodies: map[string][]byte{}} }

func (s *shelf) Presign(_ context.Context, u server.Upload) (string, error) {
	return "http://127.0.0.1/objects/" + u.Name, nil
}

func (s *shelf) Open(_ context.Context, name string) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, ok := s.bodies[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(body)), nil
}

func (s *shelf) Remove(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.bodies, name)
	return nil
}

func (s *shelf) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bodies[strings.TrimPrefix(r.URL.Path, "/objects/")] = body
}

// run checks a handler over HTTP within the process.
func run(t testing.TB, h http.Handler, id auth.StoreID, o *conform.Options,
	wrap ...func(http.RoundTripper) http.RoundTripper) *conform.Report {
	t.Helper()
	origin := remotetest.NewOrigin(h)
	defer origin.Close()
	transport, err := remote.NewTransport(&remote.ClientOptions{Dial: origin.Dial})
	if err != nil {
		t.Fatal(err)
	}
	defer transport.(interface{ CloseIdleConnections() }).CloseIdleConnections()
	var opt conform.Options
	if o != nil {
		opt = *o
	}
	opt.Transport, opt.TempDir = transport, t.TempDir()
	u, err := remote.ParseURL("http://127.0.0.1")
	for _, f := range wrap {
		opt.Transport = f(transport)
		u, err = remote.ParseURL("https://127.0.0.1")
	}
	if err == nil && !id.IsZero() {
		u, err = u.WithStore(id)
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	r, err := conform.Run(ctx, u, &opt)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// findings returns the results of a report other than passes and skips.
func findings(r *conform.Report) (list []conform.Result) {
	for _, c := range r.Results {
		if c.Verdict == conform.Fail || c.Verdict == conform.Warn {
			list = append(list, c)
		}
	}
	return list
}

// skips returns the skipped results of a report.
func skips(r *conform.Report) (list []conform.Result) {
	for _, c := range r.Results {
		if c.Verdict == conform.Skip {
			list = append(list, c)
		}
	}
	return list
}

// below is an https origin with an old TLS version that drops long headers.
type below struct{ next http.RoundTripper }

func (b below) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme = "http"
	r.Header.Del("X-Conform")
	resp, err := b.next.RoundTrip(r)
	if err == nil {
		resp.TLS = &tls.ConnectionState{Version: tls.VersionTLS11}
	}
	return resp, err
}

// resign signs a request with another key.
func resign(r *http.Request, op request.Op, store auth.StoreID) {
	if op == "" {
		op, _ = request.OpOf(r.Method, r.URL.Path[len("/stores/")+64:])
	}
	if err := request.Sign(r, op, store, auth.NewKey([32]byte{7})); err != nil {
		panic(err)
	}
}
