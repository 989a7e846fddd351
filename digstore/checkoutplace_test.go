package digstore_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/internal/vectors"
)

// madeOf commits a tree to a store in memory and returns the generation.
func madeOf(t testing.TB, tree corpus.Tree) *digstore.Generation {
	t.Helper()
	_, s := inMemory(t, nil)
	check(t, s.StageFS(context.Background(), tree.FS()))
	return must(s.Commit(context.Background(), nil, nil)).Generation
}

// TestCheckoutBesideFilesOfTheUser: a checkout into an existing folder changes no file that is not
// of the generation, whatever its name. Names with a common prefix of 200 bytes get their own
// content.
func TestCheckoutBesideFilesOfTheUser(t *testing.T) {
	long := strings.Repeat("n", 240)
	content := corpus.Tree{long + "1": []byte("one"), long + "2": []byte("two"),
		"NAME": []byte("three"), "sub/x": []byte("four")}
	maps.Copy(content, corpus.Small(2))
	g := madeOf(t, content)
	work := ".dig-checkout-" + strings.Repeat("0", 32)
	mine := corpus.Tree{".NAME.dig-tmp": []byte("mine"), "." + long[:200] + ".dig-tmp": []byte("mine"),
		"sub/.x.dig-tmp": []byte("mine"),
		work + "/lock":   []byte("mine"), work +
			"/notes": []byte("mine"), ".dig-checkout-mine/out/x": []byte("mine")}
	for _, overwrite := range []bool{false, true} {
		dir := t.TempDir()
		check(t, mine.Write(dir))
		_, err := g.Checkout(context.Background(), dir, &digstore.CheckoutOptions{Overwrite: overwrite})
		check(t, err)
		want := maps.Clone(content)
		maps.Copy(want, mine)
		if diff := corpus.Diff(want, must(corpus.Read(dir))); diff != "" {
			t.Errorf("overwrite %v: %s", overwrite, diff)
		}
	}
}

// TestCheckoutConflictsComeFirst: conflicts are found before anything in the folder changes.
func TestCheckoutConflictsComeFirst(t *testing.T) {
	content := corpus.Tree{"a": []byte("1"), "sub/b": []byte("2"), "z": []byte("3"),
		"deep/er/c": []byte("4")}
	g := madeOf(t, content)
	for name, c := range map[string]struct {
		there     corpus.Tree
		overwrite bool
	}{
		"file":                {corpus.Tree{"z": []byte("mine")}, false},
		"folder for a file":   {corpus.Tree{"z/mine": []byte("mine")}, true},
		"file for a folder":   {corpus.Tree{"sub": []byte("mine")}, true},
		"file deeper down":    {corpus.Tree{"deep/er": []byte("mine")}, true},
		"same file below one": {corpus.Tree{"deep/er/c": []byte("mine")}, false},
	} {
		dir := t.TempDir()
		check(t, c.there.Write(dir))
		_, err := g.Checkout(context.Background(), dir, &digstore.CheckoutOptions{Overwrite: c.overwrite})
		if !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: %v, want exist", name, err)
		}
		if diff := corpus.Diff(c.there, must(corpus.Read(dir))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// diskTree reads the files below dir of a disk, except those in temporary folders of checkouts.
func diskTree(t testing.TB, disk diskfs.FS, dir string) (tree corpus.Tree, work []string) {
	t.Helper()
	tree = corpus.Tree{}
	var read func(at, rel string)
	read = func(at, rel string) {
		list, err := disk.ReadDir(at)
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		check(t, err)
		for _, e := range list {
			name := filepath.Join(at, e.Name())
			switch {
			case strings.HasPrefix(e.Name(), ".dig-checkout-"):
				work = append(work, name)
			case e.IsDir():
				read(name, rel+e.Name()+"/")
			default:
				tree[rel+e.Name()] = must(diskfs.ReadFile(disk, name, 1<<30))
			}
		}
	}
	read(dir, "")
	return tree, work
}

// TestCheckoutSweep: a checkout that is killed, or whose disk fails, at any operation leaves no
// incomplete file and touches no file of the user. The next checkout succeeds and removes what was
// left.
func TestCheckoutSweep(t *testing.T) {
	content := corpus.Tree{"a": []byte("1"), "sub/b": []byte(noise(1, 300_000)), "sub/c": nil,
		"d": []byte(noise(2, 150_000)), "e/f/g": []byte("2")}
	step := 1
	if vectors.Long(t) {
		content = corpus.Small(3)
		step = 7
	}
	g := madeOf(t, content)
	mine := corpus.Tree{"mine": []byte("mine"), "sub/mine": []byte("mine"), "a": []byte("old")}
	for _, target := range []struct {
		name  string
		there corpus.Tree
	}{{"missing", nil}, {"empty", corpus.Tree{}}, {"in use", mine}} {
		for _, way := range []string{"killed", "failed", "full", "power cut"} {
			t.Run(target.name+" "+way, func(t *testing.T) {
				for n := 1; ; n += step {
					disk := diskfs.NewCrashWith("/top", &diskfs.CrashOptions{HoldOpen: true})
					if target.there != nil {
						check(t, diskfs.MkdirAll(disk, "/top/out", 0o755))
					}
					for name, text := range target.there {
						check(t, diskfs.MkdirAll(disk, filepath.Dir("/top/out/"+name), 0o755))
						check(t, diskfs.WriteFile(disk, "/top/out/"+name, text, 0o644))
					}
					var fsys diskfs.FS
					var reached func() bool
					switch way {
					case "power cut":
						disk.StopAfter(n)
						from := disk.Calls()
						fsys, reached = disk, func() bool { return disk.Calls() >= from+n }
					case "killed":
						p := diskfs.NewProcess(disk)
						p.KillAfter(n)
						fsys, reached = p, func() bool { return p.Calls() >= n }
					default:
						f := diskfs.Fail(disk, n, errBroken, &diskfs.FailOptions{Always: way == "full"})
						fsys, reached = f, f.Failed
					}
					o := &digstore.CheckoutOptions{FS: fsys, Overwrite: true}
					_, err := g.Checkout(context.Background(), "/top/out", o)
					if !reached() {
						check(t, err)
						break
					}
					if way == "power cut" { // nothing was synced: only files that existed before are guaranteed
						disk = disk.Recover(uint64(n % 5))
					}
					got, _ := diskTree(t, disk, "/top/out")
					for name, text := range got {
						if way != "power cut" && string(text) != string(content[name]) &&
							string(text) != string(target.there[name]) {
							t.Fatalf("operation %d: %s holds %d other bytes", n, name, len(text))
						}
					}
					for name, text := range target.there {
						if _, ok := got[name]; !ok {
							t.Fatalf("operation %d: %s of %d bytes is gone", n, name, len(text))
						}
					}
					_, err = g.Checkout(context.Background(), "/top/out",
						&digstore.CheckoutOptions{FS: disk, Overwrite: true})
					check(t, err)
					want := maps.Clone(target.there)
					if want == nil {
						want = corpus.Tree{}
					}
					maps.Copy(want, content)
					got, work := diskTree(t, disk, "/top/out")
					_, beside := diskTree(t, disk, "/top")
					if diff := corpus.Diff(want, got); diff != "" {
						t.Fatalf("operation %d, then again: %s", n, diff)
					}
					if len(work)+len(beside) > 0 {
						t.Fatalf("operation %d, then again: %v %v are left", n, work, beside)
					}
				}
			})
		}
	}
}

var errBroken = errors.New("the disk is broken")

// TestCheckoutWhereCaseIsFolded: if the disk ignores case, one of README and Readme is refused, or
// left out and listed.
func TestCheckoutWhereCaseIsFolded(t *testing.T) {
	content := corpus.Tree{"README": []byte("1"), "Readme": []byte("2"), "sub/a": []byte("3"),
		"SUB": []byte("4"), "ſ": []byte("5"), "S": []byte("6")}
	g := madeOf(t, content)
	disk := diskfs.NewCrashWith("/top", &diskfs.CrashOptions{FoldCase: true})
	_, err := g.Checkout(context.Background(), "/top/out", &digstore.CheckoutOptions{FS: disk})
	var refused *digstore.UnsafeNamesError
	if !errors.As(err, &refused) || fmt.Sprint(keysOf(refused.Names)) != "[Readme SUB ſ]" {
		t.Errorf("checkout: %v, want Readme, SUB and ſ refused", err)
	}
	if got, work := diskTree(t, disk, "/top"); len(got)+len(work) > 0 {
		t.Errorf("it left %v, %v", got.Names(), work)
	}
	r, err := g.Checkout(context.Background(), "/top/out",
		&digstore.CheckoutOptions{FS: disk, Partial: true})
	check(t, err)
	got, _ := diskTree(t, disk, "/top/out")
	want := corpus.Tree{"README": []byte("1"), "sub/a": []byte("3"), "S": []byte("6")}
	if diff := corpus.Diff(want, got); diff != "" || r.Files != 3 || len(r.Unsafe) != 3 {
		t.Errorf("%+v %s", r, diff)
	}
}

// TestCheckoutsBesideEachOther: the temporary folder of a running checkout is not removed.
func TestCheckoutsBesideEachOther(t *testing.T) {
	g := madeOf(t, corpus.Small(4))
	dir := filepath.Join(t.TempDir(), "out")
	check(t, os.Mkdir(dir, 0o755))
	work := filepath.Join(dir, ".dig-checkout-"+strings.Repeat("a", 32))
	check(t, os.MkdirAll(filepath.Join(work, "out"), 0o755))
	l, err := diskfs.OS().TryLock(filepath.Join(work, "lock"))
	check(t, err)
	_, err = g.Checkout(context.Background(), dir, nil)
	check(t, err)
	if _, err := os.Lstat(work); err != nil {
		t.Errorf("a checkout at work lost its folder: %v", err)
	}
	check(t, l.Close())
	_, err = g.Checkout(context.Background(), dir, &digstore.CheckoutOptions{Overwrite: true})
	check(t, err)
	if _, err := os.Lstat(work); err == nil {
		t.Error("what a killed checkout left is still there")
	}
}
