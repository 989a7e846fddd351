package client_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/capsuletest"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node"
	"github.com/dig-network/digstore/node/api"
	"github.com/dig-network/digstore/node/client"
	"github.com/dig-network/digstore/node/storage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What the tests share.
var (
	nodeKey   = auth.NewNodeKey([32]byte{1})
	writerKey = auth.NewKey([32]byte{7})
	unlimited = node.Limits{Callers: api.Limits{Capsules: api.Bucket{PerMinute: -1},
		Challenges: api.Bucket{PerMinute: -1}, Requests: api.Bucket{PerMinute: -1}}}
)

const (
	ownerToken = "owner-s3cret"
	adminToken = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

// credential knows the owner's token, and a user who may push but not decide.
func credential(r *http.Request) (api.Credential, error) {
	if r.Header.Get("Authorization") == "Bearer "+ownerToken {
		return api.Credential{Name: "owner", Owner: true}, nil
	}
	if user, password, ok := r.BasicAuth(); ok && user == "ann" && password == "p:w" {
		return api.Credential{Name: user}, nil
	}
	if r.Header.Get("Authorization") != "" {
		return api.Credential{}, errors.New("unknown credential")
	}
	return api.Credential{}, nil
}

// startNode runs a real node behind a listener until the test ends, and returns its URL, below a
// prefix.
func startNode(t testing.TB, c node.Config) string {
	t.Helper()
	c.Key = nodeKey
	if c.Storage == nil {
		c.Storage = storage.NewMemory(nil)
	}
	if c.Credential == nil {
		c.Credential = credential
	}
	c.Limits = unlimited
	n, err := node.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	<-n.Ready()
	srv := httptest.NewServer(http.StripPrefix("/dig", n))
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("node: %v", err)
		}
		srv.Close()
	})
	return srv.URL + "/dig"
}

// holding returns a storage with a generation as its head, signed by the writer when it has a
// number.
func holding(t testing.TB, g capsuletest.Generation, generation uint64) storage.Storage {
	t.Helper()
	st := storage.NewMemory(nil)
	for i, d := range g.Capsules {
		if err := st.Put(t.Context(), d, bytes.NewReader(g.Content[i])); err != nil {
			t.Fatal(err)
		}
	}
	var meta storage.Meta
	if generation > 0 {
		s := sign(t, g, generation)
		meta = storage.Meta{Generation: generation, Signature: s.Signature, Writer: s.Writer}
	}
	text, err := meta.Encode()
	if err != nil {
		t.Fatal(err)
	}
	err = st.Commit(t.Context(), &storage.Generation{Manifest: g.Manifest, Meta: text, Head: true})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func sign(t testing.TB, g capsuletest.Generation, generation uint64) capsule.RootStatement {
	t.Helper()
	s, err := capsule.SignRoot(t.Context(), g.Manifest, generation, writerKey)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// text returns n bytes of the corpus.
func text(seed uint64, n int) []byte {
	once := corpus.Small(seed).Concat()
	var b []byte
	for len(b) < n {
		b = append(b, once...)
	}
	return b[:n]
}

// pinned trusts one root.
func pinned(g capsuletest.Generation) capsule.PinnedRoots {
	return capsule.PinnedRoots{g.Store: {g.Root: uint32(len(g.Capsules))}}
}

// newClient returns a client of a node. Without options it trusts nothing.
func newClient(t testing.TB, base string, o *client.Options) *client.Client {
	t.Helper()
	c, err := client.New(base, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// A lie changes the answer of an honest node.
type lie func(t testing.TB, r *http.Response)

// lying stands between a client and an honest node. lie is called for every answer, and may be
// nil. It returns the URL to ask, and the number of requests so far.
func lying(t testing.TB, base string, tell lie) (string, *atomic.Int64) {
	t.Helper()
	target, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	count := new(atomic.Int64)
	tr := &http.Transport{DisableCompression: true}
	proxy := &httputil.ReverseProxy{Transport: tr, ErrorLog: log.New(io.Discard, "", 0),
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(r *http.Response) error {
			if tell != nil {
				tell(t, r)
			}
			return nil
		}}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		count.Add(1)
		proxy.ServeHTTP(w, r)
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(func() {
		srv.Close()
		tr.CloseIdleConnections()
	})
	return srv.URL, count
}

// body returns the body of an answer.
func body(t testing.TB, r *http.Response) []byte {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	r.Body.Close()
	return b
}

// setBody changes the body of an answer and its Content-Length.
func setBody(r *http.Response, b []byte) {
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
	r.Header.Set("Content-Length", strconv.Itoa(len(b)))
}

// flip returns b with one bit changed.
func flip(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}

// anyRoot trusts every root, and knows no number of capsules.
type anyRoot struct{}

func (anyRoot) Trusted(context.Context, auth.StoreID, merkle.Hash) (uint32, error) { return 0, nil }

// soon ends a test that waits for nothing.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
