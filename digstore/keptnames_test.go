package digstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

// namesDir is the directory of names of the store "site" in the workspace of dir.
func namesDir(dir string) string { return filepath.Join(dir, ".dig", "stores", "site", "names") }

// freshSite opens the workspace of dir again and returns the store "site".
func freshSite(t testing.TB, dir string) *digstore.Store {
	t.Helper()
	w := must(digstore.Open(dir, nil))
	t.Cleanup(func() { w.Close() })
	return must(w.Store("site"))
}

// wantNamed opens the store again and checks that it can check out a generation by its names.
func wantNamed(t testing.TB, dir string, root merkle.Hash, want corpus.Tree) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	if _, err := must(freshSite(t, dir).At(root)).Checkout(ctx, out, nil); err != nil {
		t.Errorf("generation %s: %v", root, err)
		return
	}
	if diff := corpus.Diff(want, must(corpus.Read(out))); diff != "" {
		t.Errorf("generation %s: %s", root, diff)
	}
}

// lastNames is the file of names after two commits of new names.
const lastNames = "0000000000000002.names"

// TestNamesOfDroppedGenerations: a generation that gc dropped has its names when it is installed
// again, even if they were only in recipes, as in stores of earlier versions.
func TestNamesOfDroppedGenerations(t *testing.T) {
	trees := []corpus.Tree{corpus.Small(9), {}}
	for name, text := range trees[0] {
		trees[1]["moved/"+name] = text
	}
	for names, lose := range map[string]func(dir string) error{
		"are kept":         func(string) error { return nil },
		"were not kept":    os.RemoveAll,
		"kept are damaged": func(dir string) error { return os.Truncate(filepath.Join(dir, lastNames), 3) },
	} {
		for way, send := range map[string]func(s *digstore.Store, g module.Generation,
			head auth.SignedRoot, mod []byte) error{
			"install": func(s *digstore.Store, g module.Generation, head auth.SignedRoot, mod []byte) error {
				return s.Install(ctx, []module.Generation{g}, head, bytes.NewReader(mod), deep)
			},
			"import": func(s *digstore.Store, g module.Generation, head auth.SignedRoot, mod []byte) error {
				_, err := s.Import(ctx, bytes.NewReader(mod), head, nil)
				return err
			},
		} {
			t.Run(way+", names "+names, func(t *testing.T) {
				dir, s, gens := commitTrees(t, trees)
				head, mod := signedAs(t, s, gens[0].Root), moduleOf(t, s, gens[0].Root)
				check(t, lose(namesDir(dir)))
				must(freshSite(t, dir).GC(ctx, &digstore.GCOptions{Keep: 1}))
				check(t, send(freshSite(t, dir), gens[0], head, mod))
				wantNamed(t, dir, gens[0].Root, trees[0])
				verifyAll(t, freshSite(t, dir))
			})
		}
	}
}

// TestNamesServeAllGenerations: the names of a store also apply to generations that arrive without
// names, for every kind of transfer.
func TestNamesServeAllGenerations(t *testing.T) {
	trees := edited(t, corpus.Small(9), "one byte", "one byte")
	_, from, gens := commitTrees(t, trees)
	pull := func(t *testing.T, dir string, i int) {
		line := []module.Generation{gens[i]}
		check(t, freshSite(t, dir).Install(ctx, line, signedAs(t, from, gens[i].Root),
			bytes.NewReader(moduleOf(t, from, gens[i].Root)), deep))
	}
	clone := func(t *testing.T) (dir string) {
		dir = t.TempDir()
		w := must(digstore.Init(dir, nil))
		must(w.Create(ctx, from.ID(), &digstore.StoreOptions{Name: "site", ContentRoot: "content"}))
		check(t, w.Close())
		pull(t, dir, 0)
		return dir
	}
	t.Run("given by the user", func(t *testing.T) {
		dir := clone(t)
		g := must(freshSite(t, dir).At(gens[0].Root))
		list := append(digstore.Names{"not in it"}, trees[0].Names()...)
		if n := must(g.WithNames(list).KeepNames(ctx)); n != len(trees[0]) {
			t.Errorf("%d new names, want %d", n, len(trees[0]))
		}
		l := must(diskfs.OS().TryLock(filepath.Join(filepath.Dir(namesDir(dir)), "lock")))
		if n := must(g.WithNames(list).KeepNames(ctx)); n != 0 { // without a lock
			t.Errorf("%d new names the second time", n)
		}
		check(t, l.Close())
		pull(t, dir, 1)
		wantNamed(t, dir, gens[1].Root, trees[1])
	})
	t.Run("listed by another generation", func(t *testing.T) {
		key := auth.NewKey([auth.SeedSize]byte{4})
		id := auth.StoreIDFromKey(key.PublicKey())
		dir := t.TempDir()
		w := must(digstore.Init(dir, nil))
		must(w.Create(ctx, id, &digstore.StoreOptions{Name: "site"}))
		check(t, w.Close())
		for i, list := range []*module.PublicManifest{listOf(append(trees[0].Names(), "not in it")...),
			nil} {
			mod := builtModule(t, id, key, trees[i], list)
			must(freshSite(t, dir).Import(ctx, bytes.NewReader(mod), auth.SignedRoot{}, nil))
		}
		for i, g := range must(freshSite(t, dir).Generations(ctx)) {
			wantNamed(t, dir, g.Root, trees[i])
		}
		if n := must(freshSite(t, dir).Learn([]string{"not in it"})); n != 1 {
			t.Error("a name that no resource has was kept")
		}
	})
	for _, earlier := range []bool{false, true} {
		t.Run(fmt.Sprint("own commit, earlier version ", earlier), func(t *testing.T) {
			dir := clone(t)
			pull(t, dir, 1)
			s := freshSite(t, dir)
			check(t, s.ImportKey(ctx, must(from.Signer())))
			commitTree(t, dir, s, trees[2])
			if earlier {
				check(t, os.RemoveAll(namesDir(dir)))
				if _, unnamed, _ := must(freshSite(t, dir).At(gens[0].Root)).Names(); unnamed == 0 {
					t.Fatal("all names are known without the files")
				}
				if _, err := os.Stat(namesDir(dir)); !errors.Is(err, fs.ErrNotExist) {
					t.Fatalf("a reader has written names: %v", err)
				}
				must(freshSite(t, dir).GC(ctx, nil)) // a writer that adds no names
			}
			wantNamed(t, dir, gens[0].Root, trees[0])
			wantNamed(t, dir, gens[1].Root, trees[1])
		})
	}
}

// TestNamesAreReadWhenNeeded: opening a store, or its own commits, does not read the files of
// names.
func TestNamesAreReadWhenNeeded(t *testing.T) {
	dir, s, gens := commitTrees(t, []corpus.Tree{{"a": []byte("1")}, {"b": []byte("2")}})
	mod := moduleOf(t, s, gens[0].Root)
	must(s.GC(ctx, &digstore.GCOptions{Keep: 1}))
	check(t, s.Install(ctx, gens[:1], auth.SignedRoot{}, bytes.NewReader(mod), deep))
	var reads atomic.Int64
	disk := diskfs.Before(diskfs.OS(), func(op, name string) error {
		if strings.HasPrefix(name, namesDir(dir)) {
			reads.Add(1)
		}
		return nil
	})
	w := must(digstore.Open(dir, &digstore.Options{FS: disk}))
	defer w.Close()
	s = must(w.Store("site"))
	verifyAll(t, s)
	must(must(s.Latest()).ReadDir("."))
	must(must(s.At(gens[0].Root)).Resource("a"))
	if n := reads.Load(); n != 0 {
		t.Errorf("%d operations on names before they are needed", n)
	}
	must(must(s.At(gens[0].Root)).ReadDir("."))
	if reads.Load() == 0 {
		t.Error("names are not read")
	}
}

// TestNamesAreMergedMeanwhile: a reader finds all names while another process merges the files.
func TestNamesAreMergedMeanwhile(t *testing.T) {
	dir, s, _ := commitTrees(t, []corpus.Tree{{"a": []byte("1")}})
	for round := range 3 {
		var once sync.Once
		disk := diskfs.Before(diskfs.OS(), func(op, name string) error {
			if op == "open" && filepath.Dir(name) == namesDir(dir) {
				once.Do(func() { must(s.Learn([]string{fmt.Sprint("new ", round)})) })
			}
			return nil
		})
		w := must(digstore.Open(dir, &digstore.Options{FS: disk}))
		check(t, must(w.Store("site")).CheckNames())
		kept := must(must(w.Store("site")).KeptNames())
		if len(kept) != 2+round {
			t.Errorf("round %d: %q", round, kept)
		}
		check(t, w.Close())
	}
}

// TestDamagedNames: a damaged file of names is reported, and nothing else fails.
func TestDamagedNames(t *testing.T) {
	trees := []corpus.Tree{{"one": []byte("1"), "two": []byte("2")}, {"three": []byte("3")}}
	dir, s, gens := commitTrees(t, trees)
	mod := moduleOf(t, s, gens[0].Root)
	must(s.GC(ctx, &digstore.GCOptions{Keep: 1}))
	check(t, s.Install(ctx, gens[:1], auth.SignedRoot{}, bytes.NewReader(mod), deep))
	check(t, s.CheckNames())
	files := must(filepath.Glob(filepath.Join(namesDir(dir), "*")))
	if len(files) != 1 {
		t.Fatalf("files %q", files)
	}
	good := must(os.ReadFile(files[0]))
	if info := must(os.Stat(files[0])); runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	bad := bytes.Replace(good, []byte("two"), []byte("tvo"), 1)
	check(t, os.WriteFile(files[0], bad, 0o600))

	s = freshSite(t, dir)
	verifyAll(t, s)
	if err := s.CheckNames(); !errors.Is(err, digstore.ErrCorrupt) {
		t.Errorf("CheckNames: %v", err)
	}
	old := must(s.At(gens[0].Root))
	names, unnamed, err := old.Names()
	if fmt.Sprint(names, unnamed, err) != "[one] 1 <nil>" {
		t.Errorf("names %q, %d without, %v", names, unnamed, err)
	}
	_, err = old.Checkout(ctx, filepath.Join(t.TempDir(), "out"), nil)
	var un *digstore.UnnamedError
	if !errors.As(err, &un) || !errors.Is(err, digstore.ErrCorrupt) {
		t.Errorf("checkout: %v", err)
	}
	wantNamed(t, dir, gens[1].Root, trees[1]) // its names are in its recipe

	last := corpus.Tree{"one": []byte("1"), "two": []byte("4")}
	unfinished := filepath.Join(namesDir(dir), "0000000000000009.names.tmp")
	check(t, os.WriteFile(unfinished, bad, 0o600))
	root := commitTree(t, dir, s, last)
	wantNamed(t, dir, root, last)
	wantNamed(t, dir, gens[0].Root, trees[0]) // the commit knows the name that was lost
	if err := freshSite(t, dir).CheckNames(); !errors.Is(err, digstore.ErrCorrupt) {
		t.Errorf("CheckNames after a commit: %v", err)
	}
	if now := must(os.ReadFile(files[0])); !bytes.Equal(now, bad) {
		t.Error("a writer has changed the damaged file")
	}
	if _, err := os.Stat(unfinished); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what a killed writer has left: %v", err)
	}
	verifyAll(t, freshSite(t, dir))
}

// TestNamesAreAddedCheaply: names are added without rewriting all of them, and in few files.
func TestNamesAreAddedCheaply(t *testing.T) {
	_, s := inMemory(t, &digstore.StoreOptions{Name: "site"})
	many := files{}
	for i := range 3000 {
		many[fmt.Sprintf("folder/file-%05d", i)] = "x"
	}
	commit(t, s, many, nil)
	var first os.FileInfo
	for i := range 40 {
		commit(t, s, files{fmt.Sprint("new ", i): "x"}, nil)
		list := must(s.NameFiles())
		if len(list) > 4 {
			t.Fatalf("%d files after %d commits", len(list), i+2)
		}
		if first == nil {
			first = list[0]
		}
		if !list[0].ModTime().Equal(first.ModTime()) || list[0].Name() != first.Name() {
			t.Fatalf("commit %d has written the first names again", i+2)
		}
	}
	last := must(s.NameFiles())
	if last[len(last)-1].Name() == first.Name() {
		t.Error("the new names are in no file")
	}
	commit(t, s, files{"new 0": "y"}, nil)
	if now := must(s.NameFiles()); now[len(now)-1].Name() != last[len(last)-1].Name() {
		t.Error("a commit without new names has written a file")
	}
}

// TestNamesLimit: the files of names have a common limit.
func TestNamesLimit(t *testing.T) {
	if !vectors.Long(t) {
		t.Skip("needs 128 MiB: set DIG_TEST=long")
	}
	dir, s, _ := commitTrees(t, []corpus.Tree{{"a": []byte("1")}})
	const size = 60_000
	var list []string
	for i := range (130 << 20) / size {
		list = append(list, fmt.Sprintf("%0*d", size, i))
	}
	n := must(s.Learn(list))
	if n >= len(list) || n < (127<<20)/size {
		t.Errorf("%d of %d names were kept", n, len(list))
	}
	if n := must(s.Learn(list)); n != 0 {
		t.Errorf("%d more names were kept", n)
	}
	check(t, freshSite(t, dir).CheckNames())
	all := must(filepath.Glob(filepath.Join(namesDir(dir), "*")))
	check(t, os.Truncate(all[len(all)-1], 129<<20))
	if err := freshSite(t, dir).CheckNames(); err == nil {
		t.Error("a file over the limit is read")
	}
}

// TestListedClone: a clone of a listed store, with the key, keeps listing. A store with another
// setting, or whose head does not name all of its resources, does not list.
func TestListedClone(t *testing.T) {
	tree := corpus.Small(2)
	all := listOf(tree.Names()...)
	for _, c := range []struct {
		name string
		list *module.PublicManifest // of the module that is imported
		key  bool                   // the store is made with its key
		salt *urn.Salt              // imported before the commit; nil: none
		want bool
	}{
		{"listed", all, false, nil, true},
		{"not listed", nil, false, nil, false},
		{"some names", listOf(tree.Names()[1:]...), false, nil, false},
		{"a name twice", listOf(append(tree.Names()[1:], tree.Names()[1])...), false, nil, false},
		{"made with its key", all, true, nil, false},
		{"private", all, false, &urn.Salt{1}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			key := auth.NewKey([auth.SeedSize]byte{4})
			id := auth.StoreIDFromKey(key.PublicKey())
			dir := t.TempDir()
			w := must(digstore.Init(dir, nil))
			o := &digstore.StoreOptions{Name: "site", ContentRoot: "content"}
			if c.key {
				o.Key = key
			}
			s := must(w.Create(ctx, id, o))
			must(s.Import(ctx, bytes.NewReader(builtModule(t, id, key, tree, c.list)),
				auth.SignedRoot{}, nil))
			if c.salt != nil {
				check(t, s.ImportSalt(ctx, c.salt))
			}
			if !c.key {
				check(t, s.ImportKey(ctx, key))
			}
			check(t, w.Close())
			s = freshSite(t, dir)
			if got := must(s.Listed()); got != c.want {
				t.Errorf("Listed is %v", got)
			}
			next := edited(t, tree, "one byte")[1]
			root := commitTree(t, dir, s, next)
			_, err := must(freshSite(t, dir).At(root)).Module().PublicManifest()
			if errors.Is(err, fs.ErrNotExist) == c.want {
				t.Errorf("section 13 of the commit: %v", err)
			}
		})
	}
}

// listOf returns a section 13 with those names.
func listOf(names ...string) *module.PublicManifest {
	m := &module.PublicManifest{SchemaVersion: 1}
	for _, n := range names {
		m.Entries = append(m.Entries, module.PublicEntry{Path: n})
	}
	return m
}

// builtModule returns a module of a tree with the section 13 list, or without one if list is nil.
func builtModule(t *testing.T, id digstore.StoreID, key *auth.Key, tree corpus.Tree,
	list *module.PublicManifest) []byte {
	t.Helper()
	b := module.NewBuilder(id, key.PublicKey(),
		&module.Options{PublicManifest: list, TempDir: t.TempDir()})
	defer b.Close()
	for _, name := range tree.Names() {
		check(t, b.Add(ctx, name, bytes.NewReader(tree[name])))
	}
	var out bytes.Buffer
	must(b.Build(ctx, &out))
	return out.Bytes()
}
