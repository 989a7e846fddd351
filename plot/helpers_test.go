package plot_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/plot"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A datastore is a manifest and the contents of its capsules, by index.
type datastore struct {
	manifest *capsule.Manifest
	contents [][]byte
}

func newDatastore(t testing.TB, id byte, contents ...[]byte) datastore {
	t.Helper()
	d := datastore{manifest: &capsule.Manifest{Store: auth.StoreID(bytes.Repeat([]byte{id}, 32))},
		contents: contents}
	var leaves []merkle.Hash
	for i, b := range contents {
		c, err := capsule.Describe(uint32(i), bytes.NewReader(b))
		check(t, err)
		d.manifest.Capsules = append(d.manifest.Capsules, c)
		leaves = append(leaves, c.Leaf())
	}
	d.manifest.Root = merkle.Root(leaves)
	return d
}

// contentsOf returns the contents of the files of a tree, in order of names.
func contentsOf(tree corpus.Tree) (list [][]byte) {
	for _, name := range tree.Names() {
		list = append(list, tree[name])
	}
	return list
}

// node is the key that owns the plots of the tests.
var node = auth.NewNodeKey([32]byte{1, 2, 3})

// fast are options without work, and with a fixed time.
func fast() *plot.Options {
	return &plot.Options{Difficulty: plot.NoWork, Created: time.Unix(1_700_000_000, 0)}
}

// add gives a Writer the contents that it asks for.
func add(w *plot.Writer, list ...datastore) error {
	for {
		s, d, ok := w.Next()
		if !ok {
			return nil
		}
		for _, ds := range list {
			if ds.manifest.Store != s {
				continue
			}
			if err := w.Add(context.Background(), d,
				bytes.NewReader(ds.contents[d.Index])); err != nil {
				return err
			}
		}
	}
}

func manifests(list ...datastore) (out []*capsule.Manifest) {
	for _, d := range list {
		out = append(out, d.manifest)
	}
	return out
}

// create makes a plot in dir.
func create(t testing.TB, dir string, o *plot.Options, list ...datastore) *plot.Info {
	t.Helper()
	w, err := plot.Create(t.Context(), dir, manifests(list...), node, o)
	check(t, err)
	defer w.Close()
	check(t, add(w, list...))
	info, err := w.Seal(t.Context())
	check(t, err)
	check(t, w.Close())
	return info
}

// open opens a plot with a fresh Reader.
func open(t testing.TB, path string, o *plot.ReadOptions) *plot.Reader {
	t.Helper()
	r, err := plot.Open(path, o)
	check(t, err)
	t.Cleanup(func() { r.Close() })
	return r
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	check(t, err)
	return b
}

// onlyPlot checks that dir holds one file, and returns its path.
func onlyPlot(t testing.TB, dir string) string {
	t.Helper()
	list, err := os.ReadDir(dir)
	check(t, err)
	if len(list) != 1 || filepath.Ext(list[0].Name()) != ".plot" {
		t.Fatalf("directory holds %v, expected one plot", list)
	}
	return filepath.Join(dir, list[0].Name())
}

func asError[E error](err error, target *E) bool { return errors.As(err, target) }
