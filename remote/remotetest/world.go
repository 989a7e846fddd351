package remotetest

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/remote/server"
)

// Generations is how many generations the store of a [World] has.
const Generations = 3

// A World is what a [Liar] lies about: a store of three generations, its publisher, and somebody
// else's store. The same keys and the same bytes come out every time.
type World struct {
	Publisher *auth.Key
	Store     auth.StoreID // the hash of the publisher's key
	Heads     [Generations]auth.SignedRoot
	Modules   [Generations][]byte

	attacker *auth.Key
	now      func() time.Time
	files    corpus.Tree // of generation 0, without its pages
	large    bool
}

// NewWorld builds a store of about 2 MiB in 60 files. now is the clock of the servers that are made
// from it; nil is [time.Now].
func NewWorld(ctx context.Context, now func() time.Time) (*World, error) {
	return newWorld(ctx, corpus.Small(1), false, now)
}

// NewLargeWorld builds a store as [NewWorld] does, of about 24 MiB in 3,000 files, some of them of
// several MB.
func NewLargeWorld(ctx context.Context, now func() time.Time) (*World, error) {
	return newWorld(ctx, corpus.Large(1), true, now)
}

func newWorld(ctx context.Context, files corpus.Tree, large bool,
	now func() time.Time) (*World, error) {
	w := &World{Publisher: seeded(1), attacker: seeded(2), now: now, files: files, large: large}
	w.Store = auth.StoreIDFromKey(w.Publisher.PublicKey())
	for n := range w.Heads {
		var err error
		if w.Modules[n], w.Heads[n], err = Module(ctx, w.Store, w.Publisher,
			w.content(n), nil); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// seeded is the key of a fixed seed, one for each n.
func seeded(n byte) *auth.Key {
	var seed [auth.SeedSize]byte
	for i := range seed {
		seed[i] = n
	}
	return auth.NewKey(seed)
}

// content is what generation n holds: a page that changes, one that does not, and the files, of
// which every one of several chunks changes from one generation to the next.
func (w *World) content(n int) fs.FS {
	tree := w.files.Clone()
	for i := range n {
		// new content, then bytes at the front, in every large file
		tree = corpus.Edits()[2+i].Apply(tree, uint64(i))
	}
	tree["index.html"] = fmt.Appendf(nil, "<h1>generation %d</h1>", n)
	tree["about.html"] = []byte("<p>the same in every generation")
	return tree.FS()
}

// Memory is the store with its first n generations.
func (w *World) Memory(ctx context.Context, n int) (*Memory, error) {
	m := NewMemory(w.Store, w.now)
	for i := range n {
		if err := m.Add(ctx, w.Heads[i], bytes.NewReader(w.Modules[i])); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Honest is an origin that serves the first n generations as they are.
func (w *World) Honest(ctx context.Context, n int) (http.Handler, error) {
	m, err := w.Memory(ctx, n)
	if err != nil {
		return nil, err
	}
	return w.serve(NewStores(w.now, m)), nil
}

func (w *World) serve(b server.Backend) http.Handler {
	return server.New(b, &server.Options{Now: w.now})
}
