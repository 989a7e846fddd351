package digstore_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/corpus"
)

// TestGCDuringTransfer: a gc of another process keeps the chunks that a transfer relies on, for
// every kind of transfer.
func TestGCDuringTransfer(t *testing.T) {
	trees := edited(t, corpus.Small(4), "new content in every large file")
	trees = append(trees, edited(t, trees[0], "one byte")[1]) // shares chunks with generation 0
	_, from, gens := commitTrees(t, trees)
	last := gens[2]
	for _, way := range []struct {
		name string
		send func(w *digstore.Workspace, halfway func()) error
	}{
		{"pull a recipe", func(w *digstore.Workspace, halfway func()) error {
			r, chunks := takenApart(moduleOf(t, from, last.Root))
			s := must(w.Store(""))
			lacking := must(s.MissingChunks(ctx, r))
			return s.Assemble(ctx, gens[2:], signedAs(t, from, last.Root),
				module.Assembly{Recipe: r, Fetch: func(put func(int, []byte) error) error {
					halfway()
					return putting(r, chunks, lacking)(put)
				}}, deep)
		}},
		{"pull a module", func(w *digstore.Workspace, halfway func()) error {
			return must(w.Store("")).Install(ctx, gens[2:], signedAs(t, from, last.Root), &atEnd{moduleOf(t, from, last.Root), halfway}, deep)
		}},
		{"push a recipe", func(w *digstore.Workspace, halfway func()) error {
			r, chunks := takenApart(moduleOf(t, from, last.Root))
			lacking := must(must(w.Store("")).MissingChunks(ctx, r))
			return w.ReceiveRecipe(ctx,
				module.Push{Head: signedAs(t, from, last.Root), Parent: gens[1].Root},
				module.Assembly{Recipe: r, Base: gens[0].Root, Fetch: func(put func(int, []byte) error) error {
					halfway()
					return putting(r, chunks, lacking)(put)
				}}, deep)
		}},
		{"push a module", func(w *digstore.Workspace, halfway func()) error {
			return w.Receive(ctx, module.Push{Head: signedAs(t, from, last.Root), Parent: gens[1].Root},
				&atEnd{moduleOf(t, from, last.Root), halfway}, deep)
		}},
	} {
		t.Run(way.name, func(t *testing.T) {
			dir := t.TempDir()
			w := must(digstore.Init(dir, nil))
			defer w.Close()
			for i := range 2 {
				check(t, w.Receive(ctx,
					module.Push{Head: signedAs(t, from, gens[i].Root), Parent: parentOf(gens, i)},
					bytes.NewReader(moduleOf(t, from, gens[i].Root)), deep))
			}
			other := must(digstore.Open(dir, nil))
			defer other.Close()
			gc := func() *digstore.GCReport {
				return must(must(other.Store("")).GC(ctx, &digstore.GCOptions{Keep: 1}))
			}
			check(t, way.send(w, func() {
				if r := gc(); len(r.Dropped) != 1 || r.Transfers != 1 || r.Freed != 0 {
					t.Errorf("gc during the transfer: %+v", r)
				}
			}))
			if r := gc(); len(r.Dropped) != 1 || r.Transfers != 0 || r.Freed == 0 {
				t.Errorf("gc after the transfer: %+v", r)
			}
			wantOnDisk(t, dir, gens[2:], trees[2:])
		})
	}
}

// atEnd is a reader that calls done before the last bytes.
type atEnd struct {
	b    []byte
	done func()
}

func (r *atEnd) Read(p []byte) (int, error) {
	const last = 1000
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	if len(r.b) <= last && r.done != nil {
		r.done()
		r.done = nil
	}
	n := min(len(p), len(r.b))
	if len(r.b) > last {
		n = min(n, len(r.b)-last)
	}
	copy(p, r.b[:n])
	r.b = r.b[n:]
	return n, nil
}
