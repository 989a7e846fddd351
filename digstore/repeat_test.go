package digstore_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/remotetest"
)

// Histories of others have roots several times: the store keeps all lines, finds a root at its
// latest, reads every generation after a gc and in a new process, and never builds two recipes on
// each other.
func TestRepeatedRoots(t *testing.T) {
	ctx := t.Context()
	tree := corpus.Small(1)
	if vectors.Long(t) {
		tree = corpus.Large(1)
	}
	by := auth.NewKey([32]byte{7})
	id := auth.StoreIDFromKey(by.PublicKey())
	var mods [][]byte
	var heads []auth.SignedRoot
	for n := range 6 {
		mod, head, err := remotetest.Module(ctx, id, by, tree.FS(), nil)
		check(t, err)
		mods, heads = append(mods, mod), append(heads, head)
		tree = corpus.RandomEdit(tree, uint64(n))
	}
	order := []int{0, 1, 0, 2, 1, 3, 0, 4, 2, 5, 0, 1}
	// a recipe is built on those before it whose numbers have fewer bits
	between := []int{0, 1, 2, 3, 4, 1, 5, 4}
	for _, c := range []struct {
		name  string
		order []int
		steps [][2]int // of Install: from, and to which line
		keep  int      // of GC
		kept  []int
		back  int // the line that is installed again after it
	}{
		{"line by line", order, [][2]int{{0, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 5}, {5, 6}, {6, 7}, {7, 8}, {8, 9}, {9, 10}, {10, 11}, {11, 12}}, 3, []int{0, 1, 5}, 8},
		{"head first, then the oldest", order, [][2]int{{0, 12}, {0, 1}, {3, 4}, {5, 6}, {7, 8}, {9, 10}}, 3, []int{0, 1, 5}, 8},
		{"head first, then the newest", order, [][2]int{{0, 5}, {5, 12}, {9, 10}, {8, 9}, {7, 8}, {6, 7}, {5, 6}}, 3, []int{0, 1, 5}, 8},
		{"one that is not held comes back", between, [][2]int{{0, 1}, {1, 7}, {7, 8}}, 2, []int{4, 5}, 0},
		{"one that is held comes back", between, [][2]int{{0, 1}, {1, 5}, {5, 7}, {7, 8}}, 2, []int{4, 5}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			lines := make([]module.Generation, len(c.order))
			latest := map[merkle.Hash]uint64{}
			for i, n := range c.order {
				lines[i] = module.Generation{Number: uint64(i), Root: heads[n].Root,
					Time: time.Unix(int64(1_750_000_000+i), 0).UTC()}
				latest[heads[n].Root] = uint64(i)
			}
			disk := diskfs.NewCrash(home)
			w := must(digstore.Init(home, options(disk)))
			s := must(w.Create(ctx, id, nil))
			held := map[int]bool{}
			install := func(from, to int) {
				t.Helper()
				n := c.order[to-1]
				held[n] = true
				check(t, s.Install(ctx, lines[from:to], heads[n], bytes.NewReader(mods[n]),
					func(m *module.Module) error { return m.Verify(ctx) }))
			}
			whole := func() {
				t.Helper()
				check(t, w.Close())
				w = must(digstore.Open(home, options(disk)))
				s = must(w.Store(s.Name()))
				got, err := s.Generations(ctx)
				check(t, err)
				if len(got) != len(lines) {
					t.Fatalf("%d lines, want %d", len(got), len(lines))
				}
				for i := range got {
					if got[i].Root != lines[i].Root || got[i].Number != lines[i].Number {
						t.Errorf("line %d is %+v, want %+v", i, got[i], lines[i])
					}
				}
				for n := range held {
					if _, err := s.Verify(ctx, heads[n].Root, &digstore.VerifyOptions{Deep: true}); err != nil {
						t.Errorf("generation %d: %v", n, err)
					} else if got := moduleOf(t, s, heads[n].Root); !bytes.Equal(got, mods[n]) {
						t.Errorf("generation %d: other bytes", n)
					}
					if g, err := s.Line(ctx, heads[n].Root); err != nil || g.Number != latest[heads[n].Root] {
						t.Errorf("generation %d has line %d, %v: want the latest, %d", n, g.Number, err,
							latest[heads[n].Root])
					}
				}
			}
			for _, step := range c.steps {
				install(step[0], step[1])
			}
			whole()
			report := must(s.GC(ctx, &digstore.GCOptions{Keep: c.keep}))
			if len(report.Dropped) != len(held)-len(c.kept) {
				t.Errorf("%d of %d generations were dropped, want all but %v",
					len(report.Dropped), len(held), c.kept)
			}
			clear(held)
			for _, n := range c.kept {
				held[n] = true
			}
			whole()
			install(c.back, c.back+1)
			whole()
		})
	}
}

// A root is found at its latest line wherever the index files have it.
func TestRepeatedRootsIndexed(t *testing.T) {
	ctx := context.Background()
	from, gens, _ := history(t, 2)
	disk := diskfs.NewCrash(home)
	w := must(digstore.Init(home, options(disk)))
	s := must(w.Create(ctx, from.ID(), nil))
	mod, head := moduleOf(t, from, gens[0].Root), signedAs(t, from, gens[0].Root)
	var lines []module.Generation
	next := func(n int) []module.Generation {
		begin := len(lines)
		for range n {
			root := merkle.Sum([]byte{byte(len(lines)), byte(len(lines) >> 8)})
			if len(lines)%100 == 0 || len(lines) == begin+n-1 {
				root = gens[0].Root
			}
			lines = append(lines, module.Generation{Number: uint64(len(lines)), Root: root,
				Time: time.Unix(1_750_000_000, 0).UTC()})
		}
		return lines[begin:]
	}
	for _, n := range []int{1, 300, 1, 700, 150, 2000, 3} {
		step := next(n)
		check(t, s.Install(ctx, step, head, bytes.NewReader(mod), nil))
		check(t, w.Close())
		w = must(digstore.Open(home, options(disk)))
		s = must(w.Store(s.Name()))
		if g, err := s.Line(ctx, gens[0].Root); err != nil || g.Number != uint64(len(lines)-1) {
			t.Errorf("%d lines: the root has line %d, %v", len(lines), g.Number, err)
		}
		if len(lines) > 2 {
			root := lines[len(lines)-2].Root
			if g, err := s.Line(ctx, root); err != nil || g.Root != root {
				t.Errorf("%d lines: another root: %+v, %v", len(lines), g, err)
			}
		}
	}
	verifyAll(t, s)
}
