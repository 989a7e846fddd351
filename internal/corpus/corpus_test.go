package corpus_test

import (
	"maps"
	"testing"
	"testing/fstest"

	"github.com/dig-network/digstore/internal/corpus"
)

// A tree depends on its seed alone, and has what it promises.
func TestTrees(t *testing.T) {
	for _, c := range []struct {
		name         string
		make         func(uint64) corpus.Tree
		files, large int
		low, high    int64
	}{
		{"small", corpus.Small, 50, 8, 1 << 20, 6 << 20},
		{"large", corpus.Large, 2_900, 16, 16 << 20, 40 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree := c.make(1)
			if d := corpus.Diff(tree, c.make(1)); d != "" {
				t.Errorf("the same seed gave another tree:\n%s", d)
			}
			if corpus.Diff(tree, c.make(2)) == "" {
				t.Error("another seed gave the same tree")
			}
			var large int
			for _, b := range tree {
				if len(b) >= 150_000 {
					large++
				}
			}
			if len(tree) < c.files || large < c.large || tree.Size() < c.low || tree.Size() > c.high {
				t.Errorf("%d files, %d of several chunks, %d bytes", len(tree), large, tree.Size())
			}
			if err := fstest.TestFS(tree.FS(), tree.Names()...); err != nil {
				t.Error(err)
			}
		})
	}
}

// Every edit changes a copy, depends on its seed alone, and is read back from
// a folder as it is.
func TestEdits(t *testing.T) {
	before := corpus.Small(3)
	kept := maps.Clone(before)
	dir := t.TempDir()
	for _, e := range corpus.Edits() {
		t.Run(e.Name, func(t *testing.T) {
			after := e.Apply(before, 5)
			if corpus.Diff(before, after) == "" {
				t.Error("nothing changed")
			}
			if d := corpus.Diff(after, e.Apply(before, 5)); d != "" {
				t.Errorf("the same seed made another change:\n%s", d)
			}
			if d := corpus.Diff(kept, before); d != "" {
				t.Errorf("the tree itself changed:\n%s", d)
			}
			if err := after.Write(dir); err != nil {
				t.Fatal(err)
			}
			got, err := corpus.Read(dir)
			if err != nil {
				t.Fatal(err)
			}
			if d := corpus.Diff(after, got); d != "" {
				t.Errorf("read back:\n%s", d)
			}
		})
	}
}
