package digstore_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/internal/vectors"
)

// A store is not removed under a writer of another process, nothing of it is left open when it is
// removed, and a writer that still has it open is refused.
func TestRemoveBesideAWriter(t *testing.T) {
	ctx := context.Background()
	disk := diskfs.NewCrashWith("/ws", &diskfs.CrashOptions{HoldOpen: true})
	w := must(digstore.Init("/ws", options(disk)))
	defer w.Close()
	s := must(w.Create(ctx, digstore.StoreID{}, &digstore.StoreOptions{Name: "site"}))
	check(t, s.StageFS(ctx, corpus.Small(1).FS()))
	must(s.Commit(ctx, nil, nil))
	verifyAll(t, s) // packs are open now
	other := must(digstore.Open("/ws", options(disk)))
	defer other.Close()
	writer := must(other.Store("site"))

	key := must(s.Signer())
	l := must(disk.TryLock("/ws/.dig/stores/site/lock"))
	if err := w.Remove(ctx, "site"); !errors.Is(err, digstore.ErrLocked) {
		t.Errorf("remove beside a writer: %v, want locked", err)
	}
	check(t, l.Close())
	verifyAll(t, must(w.Store("site")))

	check(t, other.Close()) // its packs; Windows removes no open file
	check(t, w.Remove(ctx, "site"))
	if _, err := disk.Stat("/ws/.dig/stores/site"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the store's directory: %v, want it gone", err)
	}
	if err := writer.Stage(ctx, "late", strings.NewReader("x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stage into a removed store: %v, want not exist", err)
	}
	if _, err := writer.Commit(ctx, key, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("commit to a removed store: %v, want not exist", err)
	}

	// A removal that was cut short: the mark is there, and the store's files still are.
	s = must(w.Create(ctx, digstore.StoreID{}, &digstore.StoreOptions{Name: "site"}))
	check(t, diskfs.WriteFile(disk, "/ws/.dig/stores/site/removed", nil, 0o600))
	stage(t, s, files{"late": "x"})
	if _, err := s.Commit(ctx, nil, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("commit to a store that is being removed: %v, want not exist", err)
	}
}

// A reader beside a removal, and beside one after which a store of the same name and key is made,
// reads all of the store or is told that it is gone. It never finds damage, at whichever of its
// operations the other process acts.
func TestReadBesideRemove(t *testing.T) {
	part, parts := vectors.Part(t)
	old, next := corpus.Tree{"a": []byte("one"),
		"b/c": []byte("two")}, corpus.Tree{"a": []byte("three")}
	if vectors.Long(t) {
		old, next = corpus.Small(1), corpus.Small(2)
	}
	for _, c := range []struct {
		name        string
		warm, again bool // the reader has read the store before; another store is made
	}{
		{"fresh reader", false, false},
		{"warm reader", true, false},
		{"fresh reader, made again", false, true},
		{"warm reader, made again", true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			make := func(w *digstore.Workspace, tree corpus.Tree) {
				s := must(w.Create(ctx, siteID, &digstore.StoreOptions{Name: "site", Key: publisher}))
				check(t, s.StageFS(ctx, tree.FS()))
				must(s.Commit(ctx, nil, nil))
			}
			base := diskfs.NewCrash(home)
			w := must(digstore.Init(home, sweepOptions(base)))
			make(w, old)
			check(t, w.Close())
			for n, fired := 1+part, true; fired; n += parts {
				disk := base.Recover(1)
				during := &trigger{act: func() {
					w := must(digstore.Open(home, sweepOptions(disk)))
					defer w.Close()
					check(t, w.Remove(ctx, "site"))
					if c.again {
						make(w, next)
					}
				}}
				r := must(digstore.Open(home, sweepOptions(during.on(disk))))
				if c.warm {
					if got := must(readSite(r)); corpus.Diff(old, got) != "" {
						t.Fatal("the reader does not read")
					}
				}
				during.at.Store(during.calls.Load() + int64(n))
				got, err := readSite(r)
				whole := err == nil && (corpus.Diff(old, got) == "" || c.again && corpus.Diff(next, got) == "")
				gone := errors.Is(err, digstore.ErrRemoved) || errors.Is(err, fs.ErrNotExist)
				if !whole && !gone || errors.Is(err, digstore.ErrCorrupt) {
					t.Errorf("beside operation %d of the reader: %d files, %v", n, len(got), err)
				}
				during.at.Store(0)
				got, err = readSite(r)
				fired = during.fired.Load()
				switch {
				case fired && c.again && (err != nil || corpus.Diff(next, got) != ""),
					fired && !c.again && !errors.Is(err, fs.ErrNotExist):
					t.Errorf("after operation %d of the reader: %d files, %v", n, len(got), err)
				}
				check(t, r.Close())
			}
		})
	}
}

// readSite reads the files of the one generation of the store "site".
func readSite(w *digstore.Workspace) (corpus.Tree, error) {
	s, err := w.Store("site")
	if err != nil {
		return nil, err
	}
	g, err := s.Latest()
	if err != nil {
		return nil, err
	}
	if _, err := s.Verify(ctx, g.Info().Root, &digstore.VerifyOptions{Deep: true}); err != nil {
		return nil, err
	}
	names, _, err := g.Names()
	if err != nil {
		return nil, err
	}
	tree := corpus.Tree{}
	for _, name := range names {
		p, err := g.Resource(name)
		if err != nil {
			return nil, err
		}
		if tree[name], err = io.ReadAll(p); err != nil {
			return nil, err
		}
	}
	return tree, nil
}
