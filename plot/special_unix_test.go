//go:build unix

package plot_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/dig-network/digstore/plot"
)

// Links, FIFOs and folders with the name of a plot are neither followed nor
// opened.
func TestSpecialFiles(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	info := create(t, elsewhere, fast(), newDatastore(t, 1, []byte("content")))
	check(t, os.Symlink(info.Path, filepath.Join(dir, "link.plot")))
	check(t, os.Mkdir(filepath.Join(dir, "folder.plot"), 0o755))
	check(t, syscall.Mkfifo(filepath.Join(dir, "fifo.plot"), 0o644))
	opened := make(chan [2]int, 1)
	go func() {
		s, err := plot.OpenSet(t.Context(), nil, plot.Dir{Path: dir})
		if err != nil {
			t.Error(err)
			close(opened)
			return
		}
		defer s.Close()
		opened <- count(s)
	}()
	select {
	case n := <-opened:
		if n != [2]int{0, 3} {
			t.Errorf("%d plots and bad files, expected 0 and 3", n)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("a scan waits for a special file")
	}
}

// Names that a writer or a repair uses beside a plot lead elsewhere, or to what
// blocks. Nothing elsewhere is changed and nothing waits: it fails, or does
// without what stands there.
func TestSpecialFilesBeside(t *testing.T) {
	content := bytes.Repeat([]byte("content"), 40_000)
	ds := newDatastore(t, 1, []byte("first"), content)
	whole := readFile(t, create(t, t.TempDir(), fast(), ds).Path)
	// interrupted returns a directory with an unfinished plot.
	interrupted := func(t *testing.T, _ string) (do func() error, path string) {
		dir := t.TempDir()
		w := begin(t, dir, ds)
		path = filepath.Join(dir, plot.FileName(w.ID()))
		_, d, _ := w.Next()
		check(t, w.Add(t.Context(), d, bytes.NewReader(ds.contents[d.Index])))
		check(t, w.Close())
		return func() error { return resume(t.Context(), dir, ds) }, path
	}
	repairable := func(t *testing.T, _ string) (do func() error, path string) {
		path = filepath.Join(t.TempDir(), "damaged.plot")
		damaged := bytes.Clone(whole)
		damaged[2*4096+0x30] ^= 1 // an extent header: the extent is made in a file beside
		check(t, os.WriteFile(path, damaged, 0o644))
		return func() error {
			_, err := plot.Repair(t.Context(), path, source{list: []datastore{ds}}, nil)
			return err
		}, path
	}
	kinds := map[string]func(at, outside string) error{
		"link": func(at, outside string) error { return os.Symlink(outside, at) },
		"link to nothing": func(at, outside string) error {
			return os.Symlink(filepath.Join(filepath.Dir(outside), "new"), at)
		},
		"hard link": func(at, outside string) error { return os.Link(outside, at) },
		"fifo":      func(at, _ string) error { return syscall.Mkfifo(at, 0o644) },
		"folder":    func(at, _ string) error { return os.Mkdir(at, 0o755) },
	}
	for kind, plant := range kinds {
		for _, c := range []struct {
			suffix string
			make   func(*testing.T, string) (func() error, string)
		}{
			{"", interrupted}, {".tmp", interrupted}, {".sub", interrupted},
			{".job", interrupted}, {".job.tmp", interrupted}, {".lock", interrupted},
			{".repair", repairable}, {".lock", repairable},
		} {
			t.Run(kind+" "+c.suffix, func(t *testing.T) {
				elsewhere := t.TempDir()
				outside := filepath.Join(elsewhere, "file")
				check(t, os.WriteFile(outside, content, 0o644))
				do, path := c.make(t, elsewhere)
				check(t, os.RemoveAll(path+c.suffix))
				check(t, plant(path+c.suffix, outside))
				done := make(chan error, 1)
				go func() { done <- do() }()
				select {
				case err := <-done:
					if err == nil && !bytes.Equal(readFile(t, path), whole) {
						t.Error("succeeded without the plot")
					}
				case <-time.After(20 * time.Second):
					t.Fatal("it waits")
				}
				list, err := os.ReadDir(elsewhere)
				check(t, err)
				if len(list) != 1 || !bytes.Equal(readFile(t, outside), content) {
					t.Errorf("files elsewhere were changed: %v", list)
				}
			})
		}
	}
}

func begin(t *testing.T, dir string, ds datastore) *plot.Writer {
	t.Helper()
	o := fast()
	o.Resume = true
	w, err := plot.Create(t.Context(), dir, manifests(ds), node, o)
	check(t, err)
	return w
}

// resume goes on with an unfinished plot.
func resume(ctx context.Context, dir string, ds datastore) error {
	o := fast()
	o.Resume = true
	w, err := plot.Create(ctx, dir, manifests(ds), node, o)
	if err != nil {
		return err
	}
	defer w.Close()
	if err := add(w, ds); err != nil {
		return err
	}
	if _, err := w.Seal(ctx); err != nil {
		return err
	}
	return w.Close()
}

// A plot that could not be opened for want of file descriptors is opened by a
// later scan, although its file has not changed. It is reported as bad once.
func TestFileDescriptors(t *testing.T) {
	dir := t.TempDir()
	s := openSet(t, plot.Dir{Path: dir})
	for i := range byte(3) {
		create(t, dir, fast(), newDatastore(t, i, []byte("content")))
	}
	var limit syscall.Rlimit
	check(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	few := limit
	few.Cur = 40
	check(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few))
	defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	var held []*os.File // all descriptors that are left
	for {
		f, err := os.Open(os.DevNull)
		if errors.Is(err, syscall.EMFILE) {
			break
		}
		check(t, err)
		defer f.Close()
		held = append(held, f)
	}
	// Each descriptor that is given back serves for the directory and then for
	// one plot.
	for i, bad := range []int{2, 0, 0} {
		check(t, held[i].Close())
		out := scan(t, s)
		if len(out.Added) != 1 || len(out.Bad) != bad || count(s) != [2]int{i + 1, 2 - i} {
			t.Errorf("scan %d: %+v, plots and bad files %d", i, out, count(s))
		}
	}
}
