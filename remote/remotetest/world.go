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

// Generations is the number of generations of the store of a [World].
const Generations = 3

// A World is a store of three generations, its publisher, and another publisher's store, for tests
// with a [Liar]. Its keys and bytes are deterministic.
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

// NewWorld builds a store of about 2 MiB in 60 files. now is the clock of its servers; nil means
// [time.Now].
func NewWorld(ctx context.Context, now func() time.Time) (*World, error) {
	return newWorld(ctx, corpus.Small(1), false, now)
}

// NewLargeWorld is like [NewWorld] with about 24 MiB in 3,000 files, some of several MB.
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

// seeded returns the n-th key of a fixed seed.
func seeded(n byte) *auth.Key {
	var seed [auth.SeedSize]byte
	for i := range seed {
		seed[i] = n
	}
	return auth.NewKey(seed)
}

// content returns the files of generation n: a page that changes, one that does not, and the other
// files. Each file of several chunks changes with every generation.
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

// Memory returns the store with its first n generations.
func (w *World) Memory(ctx context.Context, n int) (*Memory, error) {
	m := NewMemory(w.Store, w.now)
	for i := range n {
		if err := m.Add(ctx, w.Heads[i], bytes.NewReader(w.Modules[i])); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Honest returns an honest origin of the first n generations.
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
