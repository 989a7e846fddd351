package digstore_test

import (
	"bytes"
	"errors"
	"io/fs"
	"testing"
	"time"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/internal/vectors"
)

// TestGCBesideTransfer runs a gc of another process at any point of a transfer, and begins a
// transfer at any point of a gc. The transfer succeeds, and everything kept is undamaged. If the
// list of missing chunks was made before the transfer began, a gc in between may make the transfer
// fail with fs.ErrNotExist, never with damage; with a new list it succeeds.
func TestGCBesideTransfer(t *testing.T) {
	first, step := 1, 7
	const wait = 100 * time.Millisecond
	again := func(err error, list bool) bool {
		return list && errors.Is(err, fs.ErrNotExist) && !errors.Is(err, digstore.ErrCorrupt) ||
			errors.Is(err, digstore.ErrLocked)
	}
	trees := edited(t, corpus.Tree{"a": bytes.Repeat([]byte("one"), 100), "b": []byte("two")},
		"one byte")
	if vectors.Long(t) {
		part, parts := vectors.Part(t)
		first, step = 1+part, parts
		trees = edited(t, corpus.Small(4), "new content in every large file")
	}
	trees = append(trees, edited(t, trees[0], "one byte")[1]) // shares chunks with generation 0
	trees[1] = corpus.Tree{"a": []byte("other")}
	_, from, gens := commitTrees(t, trees)
	last := gens[2]
	body := moduleOf(t, from, last.Root)
	recipe, chunks := takenApart(body)
	head := signedAs(t, from, last.Root)

	base := diskfs.NewCrash(home)
	w := must(digstore.Init(home, sweepOptions(base)))
	for i := range 2 {
		check(t, w.Receive(ctx,
			module.Push{Head: signedAs(t, from, gens[i].Root), Parent: parentOf(gens, i)},
			bytes.NewReader(moduleOf(t, from, gens[i].Root)), deep))
	}
	check(t, w.Close())

	for _, way := range []struct {
		name string
		list bool // the list of missing chunks was made before
		send func(w *digstore.Workspace, halfway func()) error
	}{
		{"pull a recipe", true, func(w *digstore.Workspace, halfway func()) error {
			s := must(w.Store(""))
			lacking, err := s.MissingChunks(ctx, recipe)
			if err != nil {
				return err
			}
			return s.Assemble(ctx, gens[2:], head,
				module.Assembly{Recipe: recipe, Fetch: func(put func(int, []byte) error) error {
					halfway()
					return putting(recipe, chunks, lacking)(put)
				}}, deep)
		}},
		{"push a recipe", true, func(w *digstore.Workspace, halfway func()) error {
			lacking, err := must(w.Store("")).MissingChunks(ctx, recipe)
			if err != nil {
				return err
			}
			return w.ReceiveRecipe(ctx, module.Push{Head: head, Parent: gens[1].Root},
				module.Assembly{Recipe: recipe, Fetch: func(put func(int, []byte) error) error {
					halfway()
					return putting(recipe, chunks, lacking)(put)
				}}, deep)
		}},
		{"pull a module", false, func(w *digstore.Workspace, halfway func()) error {
			return must(w.Store("")).Install(ctx, gens[2:], head, &atEnd{body, halfway}, deep)
		}},
		{"push a module", false, func(w *digstore.Workspace, halfway func()) error {
			return w.Receive(ctx, module.Push{Head: head, Parent: gens[1].Root}, &atEnd{body, halfway}, deep)
		}},
	} {
		gc := func(w *digstore.Workspace) error {
			_, err := must(w.Store("")).GC(ctx, &digstore.GCOptions{Keep: 1})
			return err
		}
		// whole checks what is on the disk at the end.
		whole := func(t *testing.T, n int, disk diskfs.FS) {
			t.Helper()
			w := must(digstore.Open(home, sweepOptions(disk)))
			defer w.Close()
			s := must(w.Store(""))
			g, err := s.At(last.Root)
			if err != nil {
				t.Fatalf("operation %d: %v", n, err)
			}
			if diff := corpus.Diff(trees[2], contentOf(t, g, trees[2])); diff != "" {
				t.Error(diff)
			}
			verifyAll(t, s)
			if t.Failed() {
				t.Fatalf("operation %d", n)
			}
		}
		none := func() {}
		t.Run(way.name+", gc in between", func(t *testing.T) {
			for n, fired := first, true; fired; n += step {
				disk := base.Recover(1)
				done := make(chan error, 1)
				during := &trigger{act: func() {
					go func() {
						other := must(digstore.Open(home, sweepOptions(disk)))
						defer other.Close()
						done <- gc(other)
					}()
					select {
					case err := <-done:
						done <- err
					case <-time.After(wait): // it waits for the transfer
					}
				}}
				during.at.Store(int64(n))
				w := must(digstore.Open(home, sweepOptions(during.on(disk))))
				err := way.send(w, none)
				if fired = during.fired.Load(); fired {
					if err := <-done; err != nil && !errors.Is(err, digstore.ErrLocked) {
						t.Errorf("gc beside operation %d: %v", n, err)
					}
				}
				if again(err, way.list) {
					err = way.send(w, none)
				}
				if err != nil {
					t.Errorf("gc beside operation %d: %v", n, err)
				}
				check(t, w.Close())
				whole(t, n, disk)
			}
		})
		t.Run(way.name+", begun beside gc", func(t *testing.T) {
			for n, fired := first, true; fired; n += step {
				disk := base.Recover(1)
				begun, proceed, done := make(chan bool, 1), make(chan bool), make(chan error, 1)
				other := must(digstore.Open(home, sweepOptions(disk)))
				send := func() error {
					return way.send(other, func() {
						select {
						case begun <- true:
							<-proceed
						default: // the second time
						}
					})
				}
				during := &trigger{act: func() {
					go func() {
						err := send()
						select {
						case begun <- true:
						default:
						}
						done <- err
					}()
					select {
					case <-begun:
					case <-time.After(wait): // it waits for the gc
					}
				}}
				during.at.Store(int64(n))
				w := must(digstore.Open(home, sweepOptions(during.on(disk))))
				if err := gc(w); err != nil {
					t.Errorf("gc, and a transfer begins at operation %d: %v", n, err)
				}
				close(proceed)
				if fired = during.fired.Load(); fired {
					err := <-done
					if again(err, way.list) {
						err = send()
					}
					if err != nil {
						t.Errorf("a transfer that begins at operation %d of a gc: %v", n, err)
					}
					whole(t, n, disk)
				}
				check(t, other.Close())
				check(t, w.Close())
			}
		})
	}
}
