package nodetest

import (
	"bytes"
	"errors"
	"io/fs"
	"testing"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/capsuletest"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/storage"
)

func testAbsent(t *testing.T, h *harness) {
	g := capsuletest.Of(t, 1, []byte("a"))
	h.check()
	h.lacks(g.Capsules[0])
	_, stat := h.Stat(t.Context(), g.Ref(0))
	_, head := h.Stat(t.Context(), capsule.Ref{Store: g.Store})
	_, root := h.Generation(t.Context(), g.Store, g.Root)
	for what, err := range map[string]error{
		"stat": stat, "stat of the head": head, "generation": root,
		"remove a store":      h.Storage.Remove(t.Context(), g.Store, merkle.Hash{}),
		"remove a generation": h.Storage.Remove(t.Context(), g.Store, g.Root),
	} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, expected fs.ErrNotExist", what, err)
		}
	}
	for _, err := range h.Generations(t.Context(), g.Store) {
		t.Errorf("generations of a store that is not there: %v", err)
	}
	for _, err := range h.Held(t.Context(), g.Store) {
		t.Errorf("held of a store that is not there: %v", err)
	}
	h.discard(g.Capsules[0].Hash)
	h.release(g.Capsules[0].Hash)
	h.add(g, "", true)
	h.check()
	past := g.Ref(1)
	if _, err := h.Stat(t.Context(), past); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stat of an index past the end: %v, expected fs.ErrNotExist", err)
	}
}

// testContents uses contents with the sizes of real files and at the limits of chunks and blocks,
// and equal contents.
func testContents(t *testing.T, h *harness) {
	files := corpus.Small(1)
	var contents [][]byte
	for _, name := range files.Names() {
		contents = append(contents, files[name])
	}
	h.add(capsuletest.Of(t, 1, contents...), "files", true)
	b := corpus.Small(2).Concat()
	for i, n := range []int{0, 1, 4095, 4096, 4097, capsule.BlockSize, capsule.BlockSize + 1} {
		h.add(capsuletest.Split(t, byte(2+i), 0, b[:n]), "", i%2 == 0)
	}
	h.add(capsuletest.Split(t, 20, 300_000, b), "", true)
	h.check()
}

func testRanges(t *testing.T, h *harness) {
	b := corpus.Small(3).Concat()[:300_000]
	g := capsuletest.Split(t, 1, 0, b)
	h.add(g, "", true)
	h.again()
	size := int64(len(b))
	for _, c := range []struct{ off, n, from, to int64 }{
		{0, -1, 0, size}, {0, size, 0, size}, {0, 0, 0, 0}, {1, 1, 1, 2}, {size - 1, -1, size - 1, size},
		{size, -1, size, size}, {size, 5, size, size}, {131_071, 2, 131_071, 131_073},
		{10, size, 10, size}, {4096, 1 << 62, 4096, size},
	} {
		got, err := readAll(t.Context(), h, g.Capsules[0], c.off, c.n)
		if err != nil || !bytes.Equal(got, b[c.from:c.to]) {
			t.Errorf("%d bytes from %d: found %d, %v", c.n, c.off, len(got), err)
		}
	}
	for _, off := range []int64{-1, size + 1, 1 << 62} {
		if _, err := readAll(t.Context(), h, g.Capsules[0], off, 1); !errors.Is(err,
			storage.ErrRange) {
			t.Errorf("from %d: %v, expected ErrRange", off, err)
		}
	}
	other := g.Capsules[0]
	other.Size--
	if _, err := readAll(t.Context(), h, other, 0, -1); !errors.Is(err, capsule.ErrContentMismatch) {
		t.Errorf("open with another size: %v, expected ErrContentMismatch", err)
	}
}
