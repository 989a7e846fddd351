package nodetest

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/dig-network/digstore/capsule/capsuletest"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/storage"
)

func testDiscard(t *testing.T, h *harness) {
	g := capsuletest.Split(t, 1, 1000, corpus.Small(8).Concat()[:2500])
	staged := capsuletest.Of(t, 1, []byte("a"), []byte("b"))
	h.add(g, "", true)
	h.put(staged)
	h.discard(g.Capsules[0].Hash, staged.Capsules[0].Hash, merkle.Hash{1})
	h.lacks(staged.Capsules[0])
	h.check()
	if err := h.Commit(t.Context(), &storage.Generation{Manifest: staged.Manifest}); !errors.Is(err,
		fs.ErrNotExist) {
		t.Errorf("commit of what was discarded: %v, expected fs.ErrNotExist", err)
	}
	h.put(staged)
	h.discard(staged.Capsules[1].Hash)
	h.put(staged)
	h.commit(staged, "", false)
	h.discard(staged.Capsules[0].Hash, staged.Capsules[1].Hash)
	h.check()
	if l, ok := h.Storage.(storage.OrphanLister); ok {
		left := capsuletest.Of(t, 3, []byte("left"))
		h.put(left)
		n := 0
		for o, err := range l.Orphans(t.Context()) {
			if err != nil || o.Hash != left.Capsules[0].Hash || o.Size != 4 || o.Modified.IsZero() {
				t.Errorf("orphan %+v, %v", o, err)
			}
			n++
		}
		if n != 1 {
			t.Errorf("%d orphans, expected 1", n)
		}
		h.discard(left.Capsules[0].Hash)
		h.check()
	}
}

// testRemove: content is removed with the last generation that names it. Staged content stays.
func testRemove(t *testing.T, h *harness) {
	one := []byte("one")
	a := capsuletest.Of(t, 1, one, one, []byte("two"))
	b := capsuletest.Of(t, 1, []byte("two"), []byte("three"))
	c := capsuletest.Of(t, 2, []byte("three"), []byte("four"))
	for _, g := range []capsuletest.Generation{a, b, c} {
		h.add(g, "", true)
	}
	h.remove(a.Store, a.Root)
	h.lacks(a.Capsules[0])
	h.check()
	staged := capsuletest.Of(t, 3, []byte("two"))
	h.put(staged)
	if err := h.Remove(t.Context(), b.Store, b.Root); err != nil {
		t.Fatal(err)
	}
	delete(h.stores, b.Store)
	h.commit(staged, "", true)
	h.check()
	for _, g := range []capsuletest.Generation{a, b} {
		h.add(g, "", g.Root == a.Root)
	}
	h.remove(a.Store, merkle.Hash{})
	h.check()
	h.remove(c.Store, merkle.Hash{})
	h.remove(staged.Store, staged.Root)
	h.check()
	if u, err := h.Usage(t.Context()); err != nil || u.Bytes != 0 || u.Capsules != 0 {
		t.Errorf("usage of an empty storage: %+v, %v", u, err)
	}
}
