package digstore_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/dig-network/digstore/digstore"
	"github.com/dig-network/digstore/internal/vectors"
)

// wantDir checks that a folder holds exactly those files.
func wantDir(t *testing.T, dir string, want files) {
	t.Helper()
	n := 0
	check(t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	}))
	if n != len(want) {
		t.Errorf("%s has %d files, want %d", dir, n, len(want))
	}
	for name, text := range want {
		got, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil || string(got) != text {
			t.Errorf("%s: %d bytes, %v, want %d bytes", name, len(got), err, len(text))
		}
	}
}

func TestCheckout(t *testing.T) {
	ctx := context.Background()
	_, s := inMemory(t, nil)
	g := commit(t, s, tree, nil)
	parent := t.TempDir()
	for _, c := range []struct {
		name string
		make func(dir string)
		o    *digstore.CheckoutOptions
		want error
	}{
		{"new", func(string) {}, nil, nil},
		{"empty", func(dir string) { check(t, os.Mkdir(dir, 0o755)) }, nil, nil},
		{"in use", func(dir string) { write(t, dir, files{"a.txt": "mine"}) }, nil, fs.ErrExist},
		{"overwrite", func(dir string) { write(t, dir, files{"a.txt": "mine"}) }, &digstore.CheckoutOptions{Overwrite: true}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(parent, c.name)
			c.make(dir)
			var last int64
			if c.o == nil {
				c.o = &digstore.CheckoutOptions{}
			}
			c.o.Progress = func(done, total int64) {
				if done < last || done > total {
					t.Errorf("progress %d of %d after %d", done, total, last)
				}
				last = done
			}
			rep, err := g.Checkout(ctx, dir, c.o)
			if !errors.Is(err, c.want) {
				t.Fatalf("checkout: %v, want %v", err, c.want)
			}
			if err != nil {
				wantDir(t, dir, files{"a.txt": "mine"})
				return
			}
			wantDir(t, dir, tree)
			if rep.Files != len(tree) || rep.Bytes != last || rep.Unnamed != 0 {
				t.Errorf("report %+v, last progress %d", rep, last)
			}
		})
	}
	list, err := os.ReadDir(parent)
	check(t, err)
	if len(list) != 4 {
		t.Errorf("something is left beside the targets: %v", list)
	}
}

// TestCheckoutKeepsOthers: a checkout keeps other files of the target.
func TestCheckoutKeepsOthers(t *testing.T) {
	_, s := inMemory(t, nil)
	g := commit(t, s, files{"a": "1"}, nil)
	dir := t.TempDir()
	write(t, dir, files{"other": "mine"})
	_, err := g.Checkout(context.Background(), dir, nil)
	check(t, err)
	wantDir(t, dir, files{"a": "1", "other": "mine"})
}

func TestCheckoutUnnamed(t *testing.T) {
	ctx := context.Background()
	_, s := inMemory(t, nil)
	_, g := strip(t, s, commit(t, s, files{"a": "1", "b": "2", "c": "3"}, nil))
	g = g.WithNames(digstore.Names{"b"})
	dir := filepath.Join(t.TempDir(), "out")
	_, err := g.Checkout(ctx, dir, nil)
	var un *digstore.UnnamedError
	if !errors.As(err, &un) || un.Missing != 2 || un.Total != 3 {
		t.Errorf("checkout without names: %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it made %s", dir)
	}
	rep, err := g.Checkout(ctx, dir, &digstore.CheckoutOptions{Partial: true})
	check(t, err)
	if rep.Files != 1 || rep.Unnamed != 2 {
		t.Errorf("report %+v", rep)
	}
	wantDir(t, dir, files{"b": "2"})
}

func TestCheckoutHostileKeys(t *testing.T) {
	var file struct {
		About string
		Cases []struct {
			Key, Linux, Windows, Why string
		}
	}
	vectors.Load(t, "dig/hostile-resource-keys.json", &file)
	skipped := 0
	for _, c := range file.Cases {
		if c.Key == "" {
			skipped++ // cannot be staged; the test of checkKeyName covers it
			continue
		}
		parent := t.TempDir()
		dir := filepath.Join(parent, "out")
		_, s := inMemory(t, nil)
		g := commit(t, s, files{c.Key: "x"}, new(digstore.CommitOptions).AnyNames())
		_, err := g.Checkout(context.Background(), dir, nil)
		want := c.Linux
		if runtime.GOOS == "windows" {
			want = digstore.OnWindows(c.Key, c.Windows)
		}
		var refused *digstore.KeyNameError
		switch want {
		case "refuse":
			if !errors.As(err, &refused) {
				t.Errorf("%.60q: %.100v, want it refused", c.Key, err)
			}
			if list, _ := os.ReadDir(parent); len(list) != 0 {
				t.Errorf("%.60q: it left %v", c.Key, list)
			}
		case "inside":
			if errors.As(err, &refused) {
				t.Errorf("%q: %v, want it written", c.Key, err)
			}
			if err == nil {
				wantDir(t, dir, files{c.Key: "x"})
			} else if len(c.Key) < 200 {
				t.Errorf("%q: %v", c.Key, err)
			}
			if list, _ := os.ReadDir(parent); err != nil && len(list) != 0 || err == nil && len(list) != 1 {
				t.Errorf("%q: beside it lies %v", c.Key, list)
			}
		}
	}
	vectors.Count(t, "dig/hostile-resource-keys.json", len(file.Cases)-skipped, skipped)
}

// TestCheckoutLinks: a link in the target that leads out of it is not followed.
func TestCheckoutLinks(t *testing.T) {
	_, s := inMemory(t, nil)
	g := commit(t, s, files{"sub/file": "x", "link": "y"}, nil)
	outside, dir := t.TempDir(), t.TempDir()
	write(t, outside, files{"victim": "mine"})
	if err := os.Symlink(outside, filepath.Join(dir, "sub")); err != nil {
		t.Skip("no symbolic links here: ", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "sub")); err != nil {
		t.Skip("this system says that it made a link, and did not: ", err)
	}
	check(t, os.Symlink(filepath.Join(outside, "victim"), filepath.Join(dir, "link")))
	_, err := g.Checkout(context.Background(), dir, &digstore.CheckoutOptions{Overwrite: true})
	if err == nil || !strings.Contains(err.Error(), "sub") {
		t.Errorf("checkout through a link: %v", err)
	}
	wantDir(t, outside, files{"victim": "mine"})
}

func TestCheckoutKeyConflict(t *testing.T) {
	_, s := inMemory(t, nil)
	g := commit(t, s, files{"a": "1", "a/b": "2"}, new(digstore.CommitOptions).AnyNames())
	dir := filepath.Join(t.TempDir(), "out")
	_, err := g.Checkout(context.Background(), dir, nil)
	var bad *digstore.KeyNameError
	if !errors.As(err, &bad) {
		t.Errorf("a file and a directory of one name: %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error("it wrote something")
	}
}
