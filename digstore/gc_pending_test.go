package digstore_test

import (
	"bytes"
	"testing"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/corpus"
)

// TestGCKeepsPending: gc keeps the chunks that a pending generation shares with a dropped one, for
// every kind of push.
func TestGCKeepsPending(t *testing.T) {
	trees := edited(t, corpus.Small(5), "new content in every large file")
	// needs chunks that only generation 0 has
	trees = append(trees, edited(t, trees[0], "one byte in every large file")[1])
	_, from, gens := commitTrees(t, trees)
	last := gens[2]
	for _, recipe := range []bool{false, true} {
		dir := t.TempDir()
		w := must(digstore.Init(dir, nil))
		for i := range 2 {
			check(t, w.Receive(ctx,
				module.Push{Head: signedAs(t, from, gens[i].Root), Parent: parentOf(gens, i)},
				bytes.NewReader(moduleOf(t, from, gens[i].Root)), deep))
		}
		if r, chunks := takenApart(moduleOf(t, from, last.Root)); recipe {
			check(t, w.ReceiveRecipe(ctx,
				module.Push{Head: signedAs(t, from, last.Root), Parent: gens[1].Root, Pending: true},
				module.Assembly{Recipe: r, Fetch: putting(r, chunks, everything(r))}, deep))
		} else {
			check(t, w.Receive(ctx,
				module.Push{Head: signedAs(t, from, last.Root), Parent: gens[1].Root, Pending: true},
				bytes.NewReader(moduleOf(t, from, last.Root)), deep))
		}
		check(t, w.Close())

		w = must(digstore.Open(dir, nil))
		if r := must(must(w.Store("")).GC(ctx, &digstore.GCOptions{Keep: 1})); len(r.Dropped) != 1 {
			t.Errorf("gc dropped %v, want generation 0", r.Dropped)
		}
		check(t, w.Close())

		w = must(digstore.Open(dir, nil))
		check(t, w.Promote(ctx, from.ID(), last.Root))
		check(t, w.Close())
		wantOnDisk(t, dir, gens[1:], trees[1:])
	}
}
