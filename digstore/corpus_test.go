package digstore_test

import (
	"bytes"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

// base returns the small corpus, or the large one in the long run.
func base(t testing.TB, seed uint64) corpus.Tree {
	if vectors.Long(t) {
		return corpus.Large(seed)
	}
	return corpus.Small(seed)
}

// among returns own and, below "many", the files of tree.
func among(tree corpus.Tree, own files) files {
	all := files{}
	for name, b := range tree {
		all["many/"+name] = string(b)
	}
	maps.Copy(all, own)
	return all
}

// edited returns a tree and its successors by the named edits, one after the other.
func edited(t testing.TB, tree corpus.Tree, edits ...string) []corpus.Tree {
	t.Helper()
	trees := []corpus.Tree{tree}
	for i, name := range edits {
		at := slices.IndexFunc(corpus.Edits(), func(e corpus.Edit) bool { return e.Name == name })
		if at < 0 {
			t.Fatalf("no edit %q", name)
		}
		trees = append(trees, corpus.Edits()[at].Apply(trees[i], uint64(i)))
	}
	return trees
}

// commitTrees makes a workspace on the disk in which each tree is a generation of the store "site".
func commitTrees(t testing.TB,
	trees []corpus.Tree) (dir string, s *digstore.Store, gens []module.Generation) {
	t.Helper()
	dir = t.TempDir()
	w := must(digstore.Init(dir, nil))
	t.Cleanup(func() { w.Close() })
	s = must(w.Create(ctx, digstore.StoreID{},
		&digstore.StoreOptions{Name: "site", ContentRoot: "content"}))
	for _, tree := range trees {
		commitTree(t, dir, s, tree)
	}
	return dir, s, must(s.Generations(ctx))
}

// commitTree commits a tree as the content root of s in the workspace of dir.
func commitTree(t testing.TB, dir string, s *digstore.Store, tree corpus.Tree) merkle.Hash {
	t.Helper()
	check(t, tree.Write(filepath.Join(dir, "content")))
	return must(s.Commit(ctx, nil, &digstore.CommitOptions{Rehash: true})).Generation.ID().Root
}

// wantOnDisk opens the workspace of dir again and checks that its one store holds gens byte for
// byte, the last one as the head.
func wantOnDisk(t testing.TB, dir string, gens []module.Generation, trees []corpus.Tree) {
	t.Helper()
	w, err := digstore.Open(dir, nil)
	check(t, err)
	defer w.Close()
	s, err := w.Store("")
	check(t, err)
	for i, g := range gens {
		if _, err := s.Verify(ctx, g.Root, &digstore.VerifyOptions{Deep: true}); err != nil {
			t.Errorf("generation %d: %v", i, err)
			continue
		}
		if diff := corpus.Diff(trees[i], contentOf(t, must(s.At(g.Root)), trees[i])); diff != "" {
			t.Errorf("generation %d: %s", i, diff)
		}
	}
	if head := signed(t, s); head.Root != gens[len(gens)-1].Root {
		t.Errorf("head %s, want %s", head.Root, gens[len(gens)-1].Root)
	}
}

// contentOf reads the resources of a generation that have the names of want.
func contentOf(t testing.TB, g *digstore.Generation, want corpus.Tree) corpus.Tree {
	t.Helper()
	got := corpus.Tree{}
	for _, name := range want.Names() {
		p, err := g.Resource(name)
		if err != nil {
			t.Error(err)
			continue
		}
		b, err := io.ReadAll(p)
		check(t, err)
		got[name] = b
	}
	if n := must(g.Len()); n != len(want) {
		t.Errorf("%d resources, want %d", n, len(want))
	}
	return got
}

// TestTransfers: for every kind of transfer, a new process finds both generations undamaged. The
// second generation changes every file of several chunks. The check reads with several workers
// while the pack is not finished.
func TestTransfers(t *testing.T) {
	const changed = "new content in every large file"
	trees := edited(t, base(t, 1), changed)
	_, from, gens := commitTrees(t, trees)
	for _, way := range []struct {
		name string
		send func(w *digstore.Workspace, i int) error
	}{
		{"install", func(w *digstore.Workspace, i int) error {
			return stored(t, w, from).Install(ctx, gens[i:i+1], signedAs(t, from, gens[i].Root), bytes.NewReader(moduleOf(t, from, gens[i].Root)), deep)
		}},
		{"import", func(w *digstore.Workspace, i int) error {
			_, err := stored(t, w, from).Import(ctx, bytes.NewReader(moduleOf(t, from, gens[i].Root)), signedAs(t, from, gens[i].Root), nil)
			return err
		}},
		{"assemble", func(w *digstore.Workspace, i int) error {
			r, chunks := takenApart(moduleOf(t, from, gens[i].Root))
			s := stored(t, w, from)
			return s.Assemble(ctx, gens[i:i+1], signedAs(t, from, gens[i].Root),
				module.Assembly{Recipe: r, Base: parentOf(gens, i),
					Fetch: putting(r, chunks, must(s.MissingChunks(ctx, r)))}, deep)
		}},
		{"receive", func(w *digstore.Workspace, i int) error {
			return w.Receive(ctx,
				module.Push{Head: signedAs(t, from, gens[i].Root), Parent: parentOf(gens, i)},
				bytes.NewReader(moduleOf(t, from, gens[i].Root)), deep)
		}},
		{"receive a recipe", func(w *digstore.Workspace, i int) error {
			r, chunks := takenApart(moduleOf(t, from, gens[i].Root))
			return w.ReceiveRecipe(ctx,
				module.Push{Head: signedAs(t, from, gens[i].Root), Parent: parentOf(gens, i)},
				module.Assembly{Recipe: r, Base: parentOf(gens, i), Fetch: putting(r, chunks, everything(r))},
				deep)
		}},
		{"receive a recipe, promoted", func(w *digstore.Workspace, i int) error {
			r, chunks := takenApart(moduleOf(t, from, gens[i].Root))
			err := w.ReceiveRecipe(ctx,
				module.Push{Head: signedAs(t, from, gens[i].Root), Parent: parentOf(gens, i), Pending: true},
				module.Assembly{Recipe: r, Base: parentOf(gens, i), Fetch: putting(r, chunks, everything(r))},
				deep)
			if err != nil {
				return err
			}
			return w.Promote(ctx, from.ID(), gens[i].Root)
		}},
	} {
		t.Run(way.name, func(t *testing.T) {
			dir := t.TempDir()
			w := must(digstore.Init(dir, nil))
			defer w.Close()
			for i := range gens {
				check(t, way.send(w, i))
			}
			wantOnDisk(t, dir, gens, trees)
		})
	}
}

// stored returns the store of w with the id of another store. It creates the store if it does not
// exist.
func stored(t testing.TB, w *digstore.Workspace, of *digstore.Store) *digstore.Store {
	t.Helper()
	if s, err := w.Store(of.ID().String()); err == nil {
		return s
	}
	return must(w.Create(ctx, of.ID(), nil))
}

// parentOf returns the root before generation i, zero for the first.
func parentOf(gens []module.Generation, i int) merkle.Hash {
	if i == 0 {
		return merkle.Hash{}
	}
	return gens[i-1].Root
}
