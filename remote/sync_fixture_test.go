package remote_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
)

// A line is a loopback listener in front of a site's server. It records the requests.
type line struct {
	*httptest.Server
	mu   sync.Mutex
	seen []string // "GET /roots"
	// instead, if set, answers a request and returns true, or returns false to leave it to the
	// server.
	instead func(w http.ResponseWriter, r *http.Request, tail string) bool
}

// listen starts a listener that is closed with the test.
func (s *site) listen() *line {
	s.t.Helper()
	l := new(line)
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tail := r.URL.Path
		if rest, ok := strings.CutPrefix(r.URL.Path, "/stores/"); ok {
			tail = rest[min(len(rest), 64):]
		}
		l.mu.Lock()
		l.seen = append(l.seen, strings.TrimSpace(r.Method+" "+tail))
		instead := l.instead
		l.mu.Unlock()
		if instead == nil || !instead(w, r, tail) {
			s.server.ServeHTTP(w, r)
		}
	}))
	s.t.Cleanup(l.Close)
	return l
}

// requests returns the requests since the last call.
func (l *line) requests() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := l.seen
	l.seen = nil
	return seen
}

// client returns a client with the site's clock and identity.
func (s *site) client(l *line, o *remote.ClientOptions) *remote.Client {
	s.t.Helper()
	var opt remote.ClientOptions
	if o != nil {
		opt = *o
	}
	if opt.Identity == nil {
		opt.Identity = s.identity
	}
	opt.Now = s.now
	u, err := remote.ParseURL(l.URL + "/stores/" + s.id.String())
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := remote.NewClient(u, &opt)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

// direct is an honest origin without a network. Its fields let a test change the answers.
type direct struct {
	*remotetest.Memory
	mu       sync.Mutex // for asked
	asked    []string
	describe func(*remote.Descriptor)
	roots    func([]module.Generation) []module.Generation
	open     func(root merkle.Hash, r io.ReadCloser) (io.ReadCloser, error)
}

func (d *direct) note(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, what)
}

func (d *direct) Describe(ctx context.Context) (*remote.Descriptor, error) {
	d.note("describe")
	head, err := d.Head(ctx)
	if err != nil {
		return nil, err
	}
	r, err := d.Memory.Module(ctx, head.Root)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	size, err := r.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	stones, err := d.Tombstones(ctx, d.ID())
	desc := &remote.Descriptor{Root: head.Root, Size: size, PublicKey: head.PublicKey,
		PushSig: head.Tagged, Untagged: head.Untagged, Tombstones: stones}
	if d.describe != nil {
		d.describe(desc)
	}
	return desc, err
}

func (d *direct) Generations(ctx context.Context) ([]module.Generation, error) {
	d.note("roots")
	lines, err := d.Memory.Generations(ctx)
	if d.roots != nil {
		lines = d.roots(lines)
	}
	return lines, err
}

func (d *direct) Module(ctx context.Context, root merkle.Hash) (io.ReadCloser, error) {
	d.note("module")
	r, err := d.Memory.Module(ctx, root)
	if err == nil && d.open != nil {
		return d.open(root, r)
	}
	return r, err
}

// store returns an origin with n generations, its ID, and the key that signed them. A zero ID
// selects the hash of the key.
func store(t testing.TB, id auth.StoreID, generations int) (*direct, *auth.Key) {
	t.Helper()
	by := key(0x2a)
	if id.IsZero() {
		id = auth.StoreIDFromKey(by.PublicKey())
	}
	d := &direct{Memory: remotetest.NewMemory(id, nil)}
	for n := range generations {
		d.publish(t, by, n)
	}
	return d, by
}

func (d *direct) publish(t testing.TB, by *auth.Key, n int) auth.SignedRoot {
	t.Helper()
	head, err := d.Publish(t.Context(), by, files(n))
	if err != nil {
		t.Fatal(err)
	}
	return head
}

func (d *direct) line(t testing.TB, n int) module.Generation {
	t.Helper()
	lines, err := d.Memory.Generations(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return lines[n]
}

// empty returns a Local for the same store.
func (d *direct) empty() *remotetest.Memory { return remotetest.NewMemory(d.ID(), nil) }

// sameModule compares the bytes of a generation in two stores.
func sameModule(t testing.TB, a, b *remotetest.Memory, root merkle.Hash) {
	t.Helper()
	var body [2][]byte
	for i, m := range []*remotetest.Memory{a, b} {
		r, err := m.Module(t.Context(), root)
		if err != nil {
			t.Fatal(err)
		}
		if body[i], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
		r.Close()
	}
	if !bytes.Equal(body[0], body[1]) {
		t.Errorf("generation %s: %d bytes here, %d there, and they differ", root,
			len(body[0]), len(body[1]))
	}
}

// holds returns which generations of its history a store holds.
func holds(t testing.TB, m *remotetest.Memory) (held []bool) {
	t.Helper()
	lines, err := m.Generations(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range lines {
		r, err := m.Module(t.Context(), g.Root)
		if err == nil {
			r.Close()
		}
		held = append(held, err == nil)
	}
	return held
}

// untouched fails the test if a refused clone left something visible.
func untouched(t testing.TB, m *remotetest.Memory) {
	t.Helper()
	head, err := m.Head(t.Context())
	if err != nil || !head.Root.IsZero() {
		t.Errorf("head %v, %v, want none", head.Root, err)
	}
	if lines, err := m.Generations(t.Context()); err != nil || len(lines) != 0 {
		t.Errorf("history %v, %v, want none", lines, err)
	}
}

// anchor is an Anchor and Lineage of fixed answers.
type anchor struct {
	root    merkle.Hash
	err     error
	lineage []merkle.Hash
}

func (a *anchor) CurrentRoot(context.Context, auth.StoreID) (merkle.Hash, error) {
	return a.root, a.err
}

func (a *anchor) Lineage(context.Context, auth.StoreID) ([]merkle.Hash, error) {
	return a.lineage, a.err
}

// plain is an Anchor that is no Lineage.
type plain struct{ root merkle.Hash }

func (a plain) CurrentRoot(context.Context, auth.StoreID) (merkle.Hash, error) {
	return a.root, nil
}

// knownStores is a KnownKeys in memory.
type knownStores map[auth.StoreID]auth.PublicKey

func (k knownStores) Known(_ context.Context, s auth.StoreID) (auth.PublicKey, bool, error) {
	key, ok := k[s]
	return key, ok, nil
}

func (k knownStores) Remember(_ context.Context, s auth.StoreID, key auth.PublicKey) error {
	k[s] = key
	return nil
}

func equal[T comparable](t testing.TB, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
