package client_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/capsuletest"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node"
	"github.com/dig-network/digstore/node/api"
	"github.com/dig-network/digstore/node/client"
)

// parts is what a node has that holds generations in part.
type parts []capsuletest.Holding

func (p parts) Find(_ context.Context, ref capsule.Ref) (*api.Found, error) {
	for _, h := range p {
		m := h.Manifest
		if m.Store != ref.Store || !ref.Root.IsZero() && m.Root != ref.Root {
			continue
		}
		if _, ok := h.Content[ref.Index]; ok {
			return &api.Found{Ref: m.Ref(ref.Index), Descriptor: m.Capsules[ref.Index],
				Prove: func(context.Context) (merkle.Proof, error) { return m.Prove(ref.Index) }}, nil
		}
	}
	return nil, fs.ErrNotExist
}

func (p parts) FindHash(ctx context.Context, hash merkle.Hash) (*api.Found, error) {
	for _, h := range p {
		for i := range h.Content {
			if h.Manifest.Capsules[i].Hash == hash {
				return p.Find(ctx, h.Manifest.Ref(i))
			}
		}
	}
	return nil, fs.ErrNotExist
}

func (p parts) Open(_ context.Context, f *api.Found, off, n int64, _ string) (api.Body, error) {
	for _, h := range p {
		for i, b := range h.Content {
			if h.Manifest.Capsules[i].Hash == f.Descriptor.Hash {
				return api.Body{ReadCloser: io.NopCloser(bytes.NewReader(b[off : off+n]))}, nil
			}
		}
	}
	return api.Body{}, fs.ErrNotExist
}

type vitals struct{}

func (vitals) Uptime() time.Duration  { return 0 }
func (vitals) Liveness() []api.Check  { return nil }
func (vitals) Readiness() []api.Check { return nil }
func (vitals) Draining() bool         { return false }

// serveAPI serves the real routes over something else than a node.
func serveAPI(t testing.TB, o api.Options) string {
	t.Helper()
	o.Limits = unlimited.Callers
	return serveOptions(t, o)
}

// serveLimited serves routes that count on nothing but the limits.
func serveLimited(t testing.TB, l api.Limits) string {
	t.Helper()
	return serveOptions(t, api.Options{Limits: l})
}

func serveOptions(t testing.TB, o api.Options) string {
	t.Helper()
	o.Vitals, o.Identity.Key = vitals{}, nodeKey.PublicKey()
	s, err := api.New(o)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s)
	t.Cleanup(func() {
		srv.Close()
		s.Close()
	})
	return srv.URL
}

// The suite of all sources.
func TestSource(t *testing.T) {
	capsuletest.TestSource(t, func(t *testing.T, held []capsuletest.Holding) capsule.Source {
		return newClient(t, serveAPI(t, api.Options{Capsules: parts(held)}),
			&client.Options{Trust: anyRoot{}})
	})
}

// Capsules of a node are opened by place, with all that is known about them.
func TestCapsule(t *testing.T) {
	g := capsuletest.Split(t, 1, 100_000, text(1, 250_000))
	c := newClient(t, startNode(t, node.Config{Storage: holding(t, g, 0)}),
		&client.Options{Trust: pinned(g)})
	for _, root := range []merkle.Hash{{}, g.Root} {
		for i, d := range g.Capsules {
			got, err := c.Capsule(t.Context(), capsule.Ref{Store: g.Store, Root: root,
				Index: uint32(i)})
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(got)
			if err != nil || !bytes.Equal(b, g.Content[i]) || got.Descriptor != d ||
				got.Ref != g.Ref(uint32(i)) || got.Cache == "" {
				t.Errorf("capsule %d: %d bytes, %v, %+v", i, len(b), err, got)
			}
			got.Close()
		}
	}
	other := capsule.Ref{Store: g.Store, Root: merkle.Hash{9}}
	if _, err := c.Capsule(t.Context(), other); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("another root: %v, expected fs.ErrNotExist", err)
	}
}

// TestUntrustedRoot: nothing is opened under an untrusted root, even with valid proofs.
func TestUntrustedRoot(t *testing.T) {
	g := capsuletest.Split(t, 1, 100_000, text(1, 250_000))
	base := startNode(t, node.Config{Storage: holding(t, g, 3)})
	tests := []struct {
		name string
		o    client.Options
		ok   bool
	}{
		{"nothing is trusted", client.Options{}, false},
		{"another root is pinned", client.Options{Trust: capsule.PinnedRoots{
			g.Store: {merkle.Hash{1}: 3}}}, false},
		{"the root of another datastore", client.Options{Trust: capsule.PinnedRoots{
			{9}: {g.Root: 3}}}, false},
		{"another number of capsules", client.Options{Trust: capsule.PinnedRoots{
			g.Store: {g.Root: 4}}}, false},
		{"another writer", client.Options{Writers: client.Keys(auth.NewKey([32]byte{8}).PublicKey())},
			false},
		{"the writer", client.Options{Writers: client.Keys(writerKey.PublicKey())}, true},
		{"pinned", client.Options{Trust: pinned(g)}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newClient(t, base, &tt.o)
			for _, root := range []merkle.Hash{{}, g.Root} {
				ref := capsule.Ref{Store: g.Store, Root: root, Index: 2}
				_, serr := c.Stat(t.Context(), ref)
				got, cerr := c.Capsule(t.Context(), ref)
				_, merr := c.Manifest(t.Context(), g.Store, root)
				if cerr == nil {
					got.Close()
				}
				for _, err := range []error{serr, cerr, merr} {
					if (err == nil) != tt.ok {
						t.Errorf("root %v: %v", root, err)
					}
				}
			}
		})
	}
}

// A statement is fetched once for all capsules of a generation.
func TestStatementIsRemembered(t *testing.T) {
	g := capsuletest.Split(t, 1, 10_000, text(1, 100_000))
	base, count := lying(t, startNode(t, node.Config{Storage: holding(t, g, 3)}), nil)
	c := newClient(t, base, &client.Options{Writers: client.Keys(writerKey.PublicKey())})
	for i := range g.Capsules {
		if _, err := c.Stat(t.Context(), g.Ref(uint32(i))); err != nil {
			t.Fatal(err)
		}
	}
	if n := count.Load(); n != int64(len(g.Capsules))+1 {
		t.Errorf("%d requests for %d capsules, expected one more", n, len(g.Capsules))
	}
}

// A key whose hash is the id of the datastore may write it.
func TestOwnKey(t *testing.T) {
	g := capsuletest.Split(t, 1, 0, text(1, 100))
	g.Manifest.Store = auth.StoreIDFromKey(writerKey.PublicKey())
	base := startNode(t, node.Config{Storage: holding(t, g, 1)})
	c := newClient(t, base, &client.Options{Writers: client.Keys()})
	if _, err := c.Manifest(t.Context(), g.Store, merkle.Hash{}); err != nil {
		t.Error(err)
	}
}

// proofOf changes the proof of an answer.
func proofOf(change func(p *merkle.Proof)) lie {
	return func(t testing.TB, r *http.Response) {
		raw, err := base64.StdEncoding.DecodeString(r.Header.Get("X-Merkle-Proof"))
		if err != nil {
			t.Fatal(err)
		}
		var p merkle.Proof
		if err := p.UnmarshalBinary(raw); err != nil {
			t.Fatal(err)
		}
		change(&p)
		if raw, err = p.MarshalBinary(); err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Merkle-Proof", base64.StdEncoding.EncodeToString(raw))
	}
}

func header(name string, values ...string) lie {
	return func(_ testing.TB, r *http.Response) { r.Header[http.CanonicalHeaderKey(name)] = values }
}

// twice gives a header a second time.
func twice(name string) lie {
	return func(_ testing.TB, r *http.Response) { r.Header.Add(name, r.Header.Get(name)) }
}

// content changes the body of a GET, and leaves the headers as they are.
func content(change func(b []byte) []byte) lie {
	return func(t testing.TB, r *http.Response) {
		if r.Request.Method == http.MethodGet {
			setBody(r, change(body(t, r)))
		}
	}
}

// endless is a body that does not end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
func (endless) Close() error               { return nil }

// TestCapsuleLies: every manipulation of a capsule is detected, by place and by hash, with its
// error.
func TestCapsuleLies(t *testing.T) {
	g := capsuletest.Split(t, 1, 100_000, text(1, 450_000))
	other := capsuletest.Split(t, 1, 100_000, text(2, 450_000))
	const at = 2
	base := startNode(t, node.Config{Storage: holding(t, g, 0)})
	// as answers like the node does for another capsule.
	as := func(g capsuletest.Generation, i uint32) lie {
		return func(t testing.TB, r *http.Response) {
			p, err := g.Prove(i)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := p.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("X-Merkle-Proof", base64.StdEncoding.EncodeToString(raw))
			r.Header.Set("X-Capsule-Hash", "0x"+g.Capsules[i].Hash.String())
			r.Header.Set("X-Dig-Chunk-Root", "0x"+g.Capsules[i].ChunkRoot.String())
			if r.Request.Method == http.MethodGet {
				setBody(r, g.Content[i])
			}
		}
	}
	long := make([]merkle.Step, 60)
	tests := []struct {
		name string
		tell lie
		want error
		stat bool // Stat finds it too
		open bool // Open by hash finds it too
	}{
		{"wrong bytes", content(func(b []byte) []byte { return flip(b, 70_000) }),
			capsule.ErrContentMismatch, false, true},
		{"wrong last byte", content(func(b []byte) []byte { return flip(b, len(b)-1) }),
			capsule.ErrContentMismatch, false, true},
		{"short", content(func(b []byte) []byte { return b[:99_999] }), capsule.ErrPath, false, false},
		{"long", content(func(b []byte) []byte { return append(b, 0) }), capsule.ErrPath, false, false},
		{"empty", content(func([]byte) []byte { return nil }), capsule.ErrPath, false, false},
		{"another capsule", as(g, at+1), capsule.ErrPath, true, false},
		{"another generation", as(other, at), capsule.ErrPath, true, false},
		{"a sibling changed", proofOf(func(p *merkle.Proof) { p.Path[0].Hash[3] ^= 1 }),
			capsule.ErrPath, true, false},
		{"the side of a sibling", proofOf(func(p *merkle.Proof) { p.Path[0].Left = !p.Path[0].Left }),
			capsule.ErrPath, true, false},
		{"a sibling missing", proofOf(func(p *merkle.Proof) { p.Path = p.Path[1:] }), capsule.ErrPath,
			true, false},
		{"another leaf", proofOf(func(p *merkle.Proof) { p.Leaf[0] ^= 1 }), capsule.ErrPath, true,
			false},
		{"another root", proofOf(func(p *merkle.Proof) { p.Root[0] ^= 1 }), capsule.ErrPath, true,
			false},
		{"no proof", header("X-Merkle-Proof"), client.ErrProtocol, true, false},
		{"two proofs", twice("X-Merkle-Proof"), client.ErrProtocol, true, false},
		{"two hashes", twice("X-Capsule-Hash"), client.ErrProtocol, true, false},
		{"proof of other bytes", header("X-Merkle-Proof", "AAAA"), client.ErrProtocol, true, false},
		{"proof not in base64", header("X-Merkle-Proof", "%%"), client.ErrProtocol, true, false},
		{"long proof", proofOf(func(p *merkle.Proof) { p.Path = append(p.Path, long...) }),
			client.ErrProtocol, true, false},
		{"another hash", header("X-Capsule-Hash", "0x"+g.Capsules[0].Hash.String()), capsule.ErrPath,
			true, false},
		{"no hash", header("X-Capsule-Hash"), client.ErrProtocol, true, false},
		{"malformed hash", header("X-Capsule-Hash", "0X"+g.Capsules[0].Hash.String()),
			client.ErrProtocol, true, false},
		{"another chunk root", header("X-Dig-Chunk-Root", "0x"+g.Root.String()), capsule.ErrPath,
			true, false},
		{"malformed chunk root", header("X-Dig-Chunk-Root", "0x12"), client.ErrProtocol, true, false},
		{"malformed plot", header("X-Plot-ID", "0x12"), client.ErrProtocol, true, false},
		{"encoded", header("Content-Encoding", "zstd"), client.ErrProtocol, true, true},
		{"redirect", func(_ testing.TB, r *http.Response) {
			r.StatusCode = http.StatusFound
			r.Header.Set("Location", base+"/capsule/0x"+g.Store.String()+"/2")
		}, client.ErrRedirect, true, true},
		{"no content", func(_ testing.TB, r *http.Response) {
			setBody(r, nil)
			r.StatusCode = http.StatusAccepted
		}, client.ErrProtocol, true, true},
		{"endless", func(_ testing.TB, r *http.Response) {
			if r.Request.Method == http.MethodGet {
				r.Body, r.ContentLength = endless{}, -1
				r.Header.Del("Content-Length")
			}
		}, client.ErrProtocol, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			url, _ := lying(t, base, tt.tell)
			c := newClient(t, url, &client.Options{Trust: pinned(g), Attempts: 1})
			for _, root := range []merkle.Hash{{}, g.Root} {
				ref := capsule.Ref{Store: g.Store, Root: root, Index: at}
				_, err := c.Stat(soon(t), ref)
				if tt.stat && !lied(err, tt.want, root) || !tt.stat && err != nil {
					t.Errorf("stat, root %v: %v, expected %v", root, err, tt.want)
				}
				rc, err := c.Capsule(soon(t), ref)
				if err = drain(rc, err); !lied(err, tt.want, root) {
					t.Errorf("capsule, root %v: %v, expected %v", root, err, tt.want)
				}
			}
			want := tt.want
			if strings.Contains("short long empty endless another capsule another generation",
				tt.name) {
				want = capsule.ErrContentMismatch
			} else if !tt.open {
				want = nil
			}
			rc, err := c.Open(soon(t), g.Capsules[at])
			if err = drain(rc, err); !errors.Is(err, want) {
				t.Errorf("open: %v, expected %v", err, want)
			}
		})
	}
}

// TestWithoutChunkRoot: without a chunk root, whole capsules are verified by their content.
func TestWithoutChunkRoot(t *testing.T) {
	g := capsuletest.Of(t, 1, text(1, 100_000), nil, text(2, 10))
	base := startNode(t, node.Config{Storage: holding(t, g, 0)})
	for i := range g.Capsules {
		other := append(bytes.Clone(g.Content[i]), 1)
		for name, tt := range map[string]struct {
			body []byte
			leaf merkle.Hash
			want error
		}{
			"honest":         {g.Content[i], g.Capsules[i].Leaf(), nil},
			"other content":  {other, g.Capsules[i].Leaf(), capsule.ErrPath},
			"another leaf":   {g.Content[i], merkle.Hash{1}, capsule.ErrPath},
			"another sample": {g.Content[(i+1)%3], g.Capsules[i].Leaf(), capsule.ErrPath},
		} {
			url, _ := lying(t, base, func(t testing.TB, r *http.Response) {
				r.Header.Del("X-Dig-Chunk-Root")
				sum := merkle.Sum(tt.body)
				r.Header.Set("X-Capsule-Hash", "0x"+sum.String())
				proofOf(func(p *merkle.Proof) { p.Leaf = tt.leaf })(t, r)
				if r.Request.Method == http.MethodGet {
					setBody(r, tt.body)
				}
			})
			for _, trust := range []capsule.RootTrust{pinned(g),
				capsule.PinnedRoots{g.Store: {g.Root: 0}}} {
				c := newClient(t, url, &client.Options{Trust: trust})
				rc, err := c.Capsule(soon(t), g.Ref(uint32(i)))
				if err = drain(rc, err); !errors.Is(err, tt.want) {
					t.Errorf("capsule %d, %s: %v, expected %v", i, name, err, tt.want)
				}
				if _, err := c.Stat(soon(t), g.Ref(uint32(i))); !errors.Is(err, client.ErrProtocol) &&
					!errors.Is(err, capsule.ErrPath) {
					t.Errorf("stat %d, %s: %v, expected ErrProtocol", i, name, err)
				}
			}
		}
	}
}

// lied reports whether an error is the one of a lie. Where the node says which root is the head, a
// lie about it may lead to a root that is not trusted.
func lied(err, want error, asked merkle.Hash) bool {
	if asked.IsZero() && errors.Is(want, capsule.ErrPath) && errors.Is(err, capsule.ErrUntrusted) {
		return true
	}
	return err != nil && errors.Is(err, want)
}

// drain reads what was opened and returns the first error.
func drain[R io.ReadCloser](r R, err error) error {
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	return err
}

// TestBrokenTransfer: an interrupted transfer is resumed at its offset, even if ranges are not
// served.
func TestBrokenTransfer(t *testing.T) {
	g := capsuletest.Split(t, 1, 0, text(1, 3_000_000))
	base := startNode(t, node.Config{Storage: holding(t, g, 0)})
	tests := []struct {
		name   string
		breaks int64 // answers that break off
		change lie   // of the answers
		want   error // nil: all of it comes
	}{
		{"once", 1, nil, nil},
		{"several times", 3, nil, nil},
		{"again and again, without a byte", 100, func(_ testing.TB, r *http.Response) {
			if r.StatusCode == http.StatusPartialContent {
				r.Body = io.NopCloser(strings.NewReader(""))
			}
		}, client.ErrConnection},
		{"the range is ignored", 1, nil, nil},
		{"another range", 1, func(_ testing.TB, r *http.Response) {
			if r.StatusCode == http.StatusPartialContent {
				r.Header.Set("Content-Range", "bytes 0-2999999/3000000")
			}
		}, client.ErrProtocol},
		{"other bytes", 1, func(t testing.TB, r *http.Response) {
			if r.StatusCode == http.StatusPartialContent {
				setBody(r, flip(body(t, r), 5))
			}
		}, capsule.ErrContentMismatch},
		{"a refusal", 1, func(_ testing.TB, r *http.Response) {
			if r.StatusCode == http.StatusPartialContent {
				r.StatusCode = http.StatusNotFound
			}
		}, fs.ErrNotExist},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var answers atomic.Int64
			url, _ := lying(t, base, func(t testing.TB, r *http.Response) {
				if tt.change != nil {
					tt.change(t, r)
				}
				if answers.Add(1) <= tt.breaks {
					r.Body = struct {
						io.Reader
						io.Closer
					}{io.LimitReader(r.Body, 500_000), r.Body}
				}
			})
			if tt.name == "the range is ignored" {
				inner := url
				srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					r.Header.Del("Range")
					forward(t, w, r, inner)
				}))
				t.Cleanup(srv.Close)
				url = srv.URL
			}
			c := newClient(t, url, &client.Options{Trust: pinned(g), Attempts: 2})
			rc, err := c.Capsule(soon(t), g.Ref(0))
			if err != nil {
				t.Fatal(err)
			}
			defer rc.Close()
			b, err := io.ReadAll(rc)
			if tt.want == nil && (err != nil || !bytes.Equal(b, g.Content[0])) {
				t.Errorf("%d bytes, %v", len(b), err)
			}
			if tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("%v, expected %v", err, tt.want)
			}
		})
	}
}

// forward passes a request on to another URL.
func forward(t testing.TB, w http.ResponseWriter, r *http.Request, base string) {
	req, err := http.NewRequestWithContext(r.Context(), r.Method, base+r.URL.RequestURI(), nil)
	if err != nil {
		t.Error(err)
		return
	}
	req.Header = r.Header.Clone()
	tr := &http.Transport{DisableCompression: true, DisableKeepAlives: true}
	res, err := tr.RoundTrip(req)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer res.Body.Close()
	for name, v := range res.Header {
		w.Header()[name] = v
	}
	w.WriteHeader(res.StatusCode)
	if _, err := io.Copy(w, res.Body); err != nil {
		panic(http.ErrAbortHandler)
	}
}
