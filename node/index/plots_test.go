package index_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/index"
	"github.com/dig-network/digstore/node/storage"
	"github.com/dig-network/digstore/plot"
)

// contents is a storage as a source of content alone.
type contents struct{ storage.Storage }

func (c contents) Open(ctx context.Context, d capsule.Descriptor) (io.ReadCloser, error) {
	return c.Storage.Open(ctx, d, 0, -1)
}

// makePlot writes a plot of generations.
func makePlot(
	t *testing.T, dir string, from storage.Storage, o *plot.Options, m ...*capsule.Manifest,
) {
	t.Helper()
	key := auth.NewNodeKey([32]byte{42})
	w, err := plot.Create(t.Context(), dir, m, key, o)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.AddFrom(t.Context(), contents{from}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Plots are found beside the storage; after the storage has released the content, a plot has it;
// a damaged plot is dropped, one that is removed is gone.
func TestUpdatePlots(t *testing.T) {
	dir := t.TempDir()
	s := storage.NewMemory(nil)
	var files [][]byte
	tree := corpus.Small(1)
	for _, name := range tree.Names() {
		files = append(files, tree[name])
	}
	a, b := add(t, s, 1, true, files...), add(t, s, 2, true, []byte("b"))
	o := &plot.Options{Difficulty: plot.NoWork}
	makePlot(t, dir, s, o, a, b)
	if err := os.WriteFile(filepath.Join(dir, "x.plot.tmp"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	x := index.New()
	plots := index.NewPlotSource("plots", plot.Dir{Path: dir})
	src := index.NewStorageSource("storage", s)
	report, err := x.Update(t.Context(), src, plots)
	if err != nil || report.Read != 3 || len(report.Damaged) > 0 || len(report.Failed) > 0 {
		t.Fatalf("update: %+v, %v", report, err)
	}
	places := func(want int) {
		t.Helper()
		for _, d := range a.Capsules {
			got, err := x.Where(a.Ref(d.Index))
			if err != nil || len(got) != want {
				t.Fatalf("where is capsule %d: %v, %v, expected %d places", d.Index, got, err, want)
			}
		}
	}
	places(2)
	for _, d := range a.Capsules {
		if err := s.Release(t.Context(), []merkle.Hash{d.Hash}); err != nil {
			t.Fatal(err)
		}
		x.Mark("storage", d.Hash, false)
	}
	places(1)
	update(t, x, plots, 1, 0, 0, 0)
	if c := x.Counts(); c.Held != uint64(len(a.Capsules)+1) {
		t.Errorf("counts %+v", c)
	}
	half := t.TempDir() // has every other capsule, and no other source describes the rest
	makePlot(t, half, storageOf(t, files), &plot.Options{Difficulty: plot.NoWork,
		Keep: func(_ auth.StoreID, d capsule.Descriptor) bool { return d.Index%2 == 0 }}, a)
	sparse := index.New()
	update(t, sparse, index.NewPlotSource("plots", plot.Dir{Path: half}), 0, 1, 0, 0)
	for _, d := range a.Capsules {
		got, err := sparse.Stat(a.Ref(d.Index))
		there := d.Index%2 == 0
		if there && (err != nil || got != d) || !there && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("capsule %d of a plot with a part: %+v, %v", d.Index, got, err)
		}
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.plot"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	whole, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(names[0], whole[:len(whole)/2], 0o644); err != nil {
		t.Fatal(err)
	}
	update(t, x, plots, 0, 0, 0, 1)
	places(0)
	if err := os.WriteFile(names[0], whole, 0o644); err != nil {
		t.Fatal(err)
	}
	update(t, x, index.NewPlotSource("plots", plot.Dir{Path: names[0]}), 0, 1, 0, 0)
	places(1)
	if err := os.Remove(names[0]); err != nil {
		t.Fatal(err)
	}
	update(t, x, plots, 0, 0, 1, 0)
	places(0)
	missing := index.NewPlotSource("plots", plot.Dir{Path: filepath.Join(dir, "missing")})
	r, err := x.Update(t.Context(), missing)
	if err != nil || len(r.Failed) != 1 || !errors.Is(r.Failed[0], fs.ErrNotExist) {
		t.Errorf("a directory that is missing: %+v, %v", r, err)
	}
}

// storageOf returns a storage of files.
func storageOf(t *testing.T, files [][]byte) storage.Storage {
	s := storage.NewMemory(nil)
	add(t, s, 1, true, files...)
	return s
}
