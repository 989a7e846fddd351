package nodetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/capsuletest"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/storage"
)

// harness is the storage under test with a model of what it must hold.
type harness struct {
	storage.Storage
	t        *testing.T
	under    Storage
	contents map[merkle.Hash][]byte // held contents
	stores   map[auth.StoreID]*model
}

// model is what one datastore must hold.
type model struct {
	head        merkle.Hash
	generations map[merkle.Hash]*storage.Generation
}

func closeStorage(s storage.Storage) {
	if c, ok := s.(io.Closer); ok {
		c.Close()
	}
}

func (h *harness) put(g capsuletest.Generation) {
	h.t.Helper()
	for i, d := range g.Capsules {
		if err := h.Put(h.t.Context(), d, bytes.NewReader(g.Content[i])); err != nil {
			h.t.Fatalf("put capsule %d of %d bytes: %v", i, d.Size, err)
		}
		h.contents[d.Hash] = g.Content[i]
	}
}

func (h *harness) commit(g capsuletest.Generation, meta string, head bool) {
	h.t.Helper()
	kept := &storage.Generation{Manifest: g.Manifest, Meta: []byte(meta), Head: head}
	if err := h.Commit(h.t.Context(), kept); err != nil {
		h.t.Fatalf("commit: %v", err)
	}
	m := h.stores[g.Store]
	if m == nil {
		m = &model{generations: map[merkle.Hash]*storage.Generation{}}
		h.stores[g.Store] = m
	}
	m.generations[g.Root] = kept
	if head {
		m.head = g.Root
	}
}

// add puts and commits.
func (h *harness) add(g capsuletest.Generation, meta string, head bool) {
	h.t.Helper()
	h.put(g)
	h.commit(g, meta, head)
}

func (h *harness) release(hashes ...merkle.Hash) {
	h.t.Helper()
	if err := h.Release(h.t.Context(), hashes); err != nil {
		h.t.Fatalf("release: %v", err)
	}
	for _, hash := range hashes {
		delete(h.contents, hash)
	}
}

func (h *harness) discard(hashes ...merkle.Hash) {
	h.t.Helper()
	if err := h.Discard(h.t.Context(), hashes); err != nil {
		h.t.Fatalf("discard: %v", err)
	}
	for _, hash := range hashes {
		if !h.named(hash) {
			delete(h.contents, hash)
		}
	}
}

// remove removes a generation or a datastore.
func (h *harness) remove(store auth.StoreID, root merkle.Hash) {
	h.t.Helper()
	if err := h.Remove(h.t.Context(), store, root); err != nil {
		h.t.Fatalf("remove: %v", err)
	}
	m := h.stores[store]
	var gone []*storage.Generation
	for r, g := range m.generations {
		if root.IsZero() || r == root {
			gone = append(gone, g)
			delete(m.generations, r)
		}
	}
	if root.IsZero() || m.head == root {
		m.head = merkle.Hash{}
	}
	if len(m.generations) == 0 {
		delete(h.stores, store)
	}
	for _, g := range gone {
		for _, d := range g.Manifest.Capsules {
			if !h.named(d.Hash) {
				delete(h.contents, d.Hash)
			}
		}
	}
}

// named reports whether a generation names a content.
func (h *harness) named(hash merkle.Hash) bool {
	for _, m := range h.stores {
		for _, g := range m.generations {
			for _, d := range g.Manifest.Capsules {
				if d.Hash == hash {
					return true
				}
			}
		}
	}
	return false
}

// check compares this instance, a second one and a new one with the model.
func (h *harness) check() {
	h.t.Helper()
	h.matches(h.Storage, "the instance")
	open := h.under.OpenReader
	if open == nil {
		open = h.under.Open
	}
	second := open(h.t)
	h.matches(second, "a second instance")
	if second != h.Storage {
		closeStorage(second)
	}
	h.again()
	h.matches(h.Storage, "a fresh instance")
}

// again continues with a new instance. Staged content may be lost.
func (h *harness) again() {
	h.t.Helper()
	closeStorage(h.Storage)
	h.Storage = h.under.Open(h.t)
	for hash := range h.contents {
		if !h.named(hash) {
			delete(h.contents, hash)
		}
	}
}

func sameGeneration(got, want *storage.Generation, head bool) error {
	a, aerr := got.Manifest.MarshalJSON()
	b, berr := want.Manifest.MarshalJSON()
	if err := errors.Join(aerr, berr); err != nil {
		return err
	}
	if !bytes.Equal(a, b) || !bytes.Equal(got.Meta, want.Meta) || got.Head != head {
		return fmt.Errorf("found %.200s meta %.40q head %v, expected %.200s meta %.40q head %v", a,
			got.Meta, got.Head, b, want.Meta, head)
	}
	return nil
}

// matches compares a storage with the model.
func (h *harness) matches(s storage.Storage, who string) {
	h.t.Helper()
	ctx := h.t.Context()
	var ids []auth.StoreID
	for id, err := range s.Stores(ctx) {
		if err != nil {
			h.t.Fatalf("%s: stores: %v", who, err)
		}
		ids = append(ids, id)
	}
	if want := slices.SortedFunc(maps.Keys(h.stores), auth.StoreID.Compare); !slices.Equal(ids, want) {
		h.t.Fatalf("%s: stores %v, expected %v", who, ids, want)
	}
	count := 0
	for id, m := range h.stores {
		count += len(m.generations)
		h.matchesStore(s, who, id, m)
	}
	for hash, b := range h.contents {
		d := capsule.Descriptor{Size: uint32(len(b)), Hash: hash}
		if got, err := readAll(ctx, s, d, 0, -1); err != nil || !bytes.Equal(got, b) {
			h.t.Fatalf("%s: content of %d bytes: found %d, %v", who, len(b), len(got), err)
		}
	}
	u, err := s.Usage(ctx)
	if err != nil {
		h.t.Fatalf("%s: usage: %v", who, err)
	}
	if u.Stores != len(h.stores) || u.Generations != count || u.Capsules-u.Staged != h.committed() {
		h.t.Fatalf("%s: usage %+v, expected %d stores, %d generations, %d capsules", who, u,
			len(h.stores), count, h.committed())
	}
}

// committed returns the number of held contents that a generation names.
func (h *harness) committed() int {
	n := 0
	for hash := range h.contents {
		if h.named(hash) {
			n++
		}
	}
	return n
}

func (h *harness) matchesStore(s storage.Storage, who string, id auth.StoreID, m *model) {
	h.t.Helper()
	ctx := h.t.Context()
	var roots []merkle.Hash
	held := map[merkle.Hash]bool{}
	for g, err := range s.Generations(ctx, id) {
		if err != nil {
			h.t.Fatalf("%s: generations: %v", who, err)
		}
		roots = append(roots, g.Manifest.Root)
		want := m.generations[g.Manifest.Root]
		if want == nil {
			h.t.Fatalf("%s: generation %v was not committed", who, g.Manifest.Root)
		}
		if err := sameGeneration(g, want, m.head == g.Manifest.Root); err != nil {
			h.t.Fatalf("%s: generation: %v", who, err)
		}
		got, err := s.Generation(ctx, id, g.Manifest.Root)
		if err != nil {
			h.t.Fatalf("%s: generation by root: %v", who, err)
		}
		if err := sameGeneration(got, want, m.head == g.Manifest.Root); err != nil {
			h.t.Fatalf("%s: generation by root: %v", who, err)
		}
		for _, d := range want.Manifest.Capsules {
			h.stats(s, who, g.Manifest.Ref(d.Index), d)
			if h.contents[d.Hash] != nil {
				held[d.Hash] = true
			}
		}
	}
	if want := slices.SortedFunc(maps.Keys(m.generations), merkle.Hash.Compare); !slices.Equal(roots,
		want) {
		h.t.Fatalf("%s: generations %v, expected %v", who, roots, want)
	}
	head, err := s.Generation(ctx, id, merkle.Hash{})
	switch {
	case m.head.IsZero() && !errors.Is(err, fs.ErrNotExist):
		h.t.Fatalf("%s: head of a store that has none: %v", who, err)
	case !m.head.IsZero() && (err != nil || head.Manifest.Root != m.head):
		h.t.Fatalf("%s: head: %v, expected %v", who, err, m.head)
	case !m.head.IsZero():
		h.stats(s, who, capsule.Ref{Store: id}, m.generations[m.head].Manifest.Capsules[0])
	}
	for d, err := range s.Held(ctx, id) {
		if err != nil {
			h.t.Fatalf("%s: held: %v", who, err)
		}
		if !held[d.Hash] {
			h.t.Fatalf("%s: held %v twice, or it is not here", who, d.Hash)
		}
		delete(held, d.Hash)
	}
	if len(held) > 0 {
		h.t.Fatalf("%s: %d contents are not held", who, len(held))
	}
}

func (h *harness) stats(s storage.Storage, who string, ref capsule.Ref, want capsule.Descriptor) {
	h.t.Helper()
	if got, err := s.Stat(h.t.Context(), ref); err != nil || got != want {
		h.t.Fatalf("%s: stat %v: %+v, %v, expected %+v", who, ref, got, err, want)
	}
}

func readAll(
	ctx context.Context, s storage.Storage, d capsule.Descriptor, off, n int64,
) ([]byte, error) {
	rc, err := s.Open(ctx, d, off, n)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(rc)
	return b, errors.Join(err, rc.Close())
}

// lacks checks that content is not held.
func (h *harness) lacks(d capsule.Descriptor) {
	h.t.Helper()
	if rc, err := h.Open(h.t.Context(), d, 0, -1); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			rc.Close()
		}
		h.t.Errorf("open of what is not here: %v, expected fs.ErrNotExist", err)
	}
}
