package diskfs_test

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dig-network/digstore/internal/diskfs"
)

// confined are the two implementations of Beneath.
var confined = map[string]func(string) diskfs.FS{
	"openat": diskfs.Beneath,
	"root":   diskfs.BeneathRoot,
}

func TestBeneathDoesWhatOSDoes(t *testing.T) {
	for name, make := range confined {
		t.Run(name, func(t *testing.T) {
			top := filepath.Join(t.TempDir(), "top")
			d := make(top)
			check(t, diskfs.MkdirAll(d, filepath.Join(top, "a", "b"), 0o755))
			file := filepath.Join(top, "a", "b", "file")
			check(t, diskfs.WriteFile(d, file, []byte("one"), 0o600))
			check(t, diskfs.WriteFile(d, file, []byte("two"), 0o600))
			got, err := diskfs.ReadFile(d, file, 10)
			check(t, err)
			if string(got) != "two" {
				t.Errorf("read %q, want two", got)
			}
			info, err := d.Stat(file)
			check(t, err)
			want, err := os.Stat(file)
			check(t, err)
			if info.Size() != 3 || info.IsDir() || info.Mode() != want.Mode() ||
				!info.ModTime().Equal(want.ModTime()) || info.Name() != "file" {
				t.Errorf("stat: %v %v %v, want %v", info.Name(), info.Size(), info.Mode(), want.Mode())
			}
			if f, err := d.OpenFile(file, os.O_RDWR, 0); err != nil {
				t.Error(err)
			} else if _, ok := f.(*os.File); !ok {
				t.Errorf("file is a %T", f)
			} else {
				check(t, f.Close())
			}
			_, err = d.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if !errors.Is(err, fs.ErrExist) {
				t.Errorf("create again: %v", err)
			}
			for _, missing := range []string{"x", filepath.Join("x", "y")} {
				missing = filepath.Join(top, missing)
				_, err := d.OpenFile(missing, os.O_RDONLY, 0)
				_, serr := d.Stat(missing)
				_, lerr := d.ReadDir(missing)
				for _, err := range []error{err, serr, lerr, d.Remove(missing), d.Rename(missing, file)} {
					if !errors.Is(err, fs.ErrNotExist) {
						t.Errorf("%s: %v, want not exist", missing, err)
					}
				}
			}
			check(t, d.Rename(file, filepath.Join(top, "moved")))
			list, err := d.ReadDir(top)
			check(t, err)
			if len(list) != 2 || list[0].Name() != "a" || list[1].Name() != "moved" {
				t.Errorf("listed %v", list)
			}
			l, err := d.TryLock(filepath.Join(top, "lock"))
			check(t, err)
			var locked *diskfs.LockedError
			for _, other := range []diskfs.FS{diskfs.OS(), d} {
				if _, err := other.TryLock(filepath.Join(top, "lock")); !errors.As(err, &locked) {
					t.Errorf("locked twice: %v", err)
				} else if runtime.GOOS != "windows" && locked.PID != os.Getpid() {
					t.Errorf("held by %d, want %d", locked.PID, os.Getpid())
				}
			}
			check(t, l.Close())
			check(t, d.SyncDir(top))
			check(t, diskfs.RemoveAll(d, top))
			if _, err := os.Lstat(top); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("still there: %v", err)
			}
		})
	}
}

// Each element of a path is replaced by something else; no operation reaches it or waits.
func TestBeneathIsNotLedAway(t *testing.T) {
	kinds := map[string]func(at, outside string) error{
		"link to a file":      func(at, outside string) error { return os.Symlink(filepath.Join(outside, "file"), at) },
		"link to a directory": func(at, outside string) error { return os.Symlink(outside, at) },
		"link to nothing":     func(at, outside string) error { return os.Symlink(filepath.Join(outside, "new"), at) },
		"link within": func(at, outside string) error {
			return os.Symlink(filepath.Join(filepath.Dir(outside), "top", "other"), at)
		},
		"hard link": func(at, outside string) error { return os.Link(filepath.Join(outside, "file"), at) },
		"fifo":      func(at, _ string) error { return mkfifo(at) },
	}
	for impl, make := range confined {
		for kind, plant := range kinds {
			for _, element := range []string{"a", filepath.Join("a", "file")} {
				t.Run(impl+" "+kind+" "+element, func(t *testing.T) {
					base := t.TempDir()
					top, outside := filepath.Join(base, "top"), filepath.Join(base, "outside")
					check(t, os.MkdirAll(filepath.Join(top, "a"), 0o755))
					check(t, os.MkdirAll(filepath.Join(top, "other"), 0o755))
					check(t, os.Mkdir(outside, 0o755))
					for _, dir := range []string{outside, filepath.Join(top, "other")} {
						check(t, os.WriteFile(filepath.Join(dir, "file"), []byte("keep"), 0o644))
					}
					at := filepath.Join(top, element)
					check(t, os.RemoveAll(at))
					if err := plant(at, outside); err != nil {
						t.Skipf("this system cannot make a %s: %v", kind, err)
					}
					if _, err := os.Lstat(at); err != nil {
						t.Skipf("this system says that it made a %s, and did not: %v", kind, err)
					}
					if kind == "hard link" && (impl == "root" || runtime.GOOS == "windows") {
						t.Skip("os.Root does not tell hard links apart")
					}
					before := treeOf(t, outside) + treeOf(t, filepath.Join(top, "other"))
					done := background(func() { attempt(t, make(top), filepath.Join(top, "a", "file")) })
					select {
					case <-done:
					case <-time.After(20 * time.Second):
						t.Fatal("it waits")
					}
					if after := treeOf(t, outside) + treeOf(t, filepath.Join(top, "other")); after != before {
						t.Errorf("changed:\n%swas:\n%s", after, before)
					}
				})
			}
		}
	}
}

// What another program has open for a moment is renamed and removed all the same. Its files
// are opened as os.Open does, which on Windows lets nothing else rename or remove them.
func TestBusyNamesAreTriedAgain(t *testing.T) {
	kinds := map[string]func(string) diskfs.FS{"os": func(string) diskfs.FS { return diskfs.OS() }}
	maps.Copy(kinds, confined)
	for impl, make := range kinds {
		for op, do := range map[string]func(d diskfs.FS, name string) error{
			"replace": func(d diskfs.FS, name string) error { return d.Rename(name+".tmp", name) },
			"rename":  func(d diskfs.FS, name string) error { return d.Rename(name, name+".new") },
			"remove":  diskfs.FS.Remove,
		} {
			t.Run(impl+" "+op, func(t *testing.T) {
				top := t.TempDir()
				name := filepath.Join(top, "file")
				check(t, os.WriteFile(name, []byte("old"), 0o600))
				check(t, os.WriteFile(name+".tmp", []byte("new"), 0o600))
				f, err := os.Open(name)
				check(t, err)
				closed := background(func() {
					time.Sleep(50 * time.Millisecond)
					_ = f.Close()
				})
				check(t, do(make(top), name))
				<-closed
			})
		}
	}
}

func background(do func()) chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	return done
}

// attempt opens a file in every way and checks that none succeeds, then tries what changes names.
func attempt(t *testing.T, d diskfs.FS, name string) {
	for _, flag := range []int{
		os.O_WRONLY,
		os.O_RDWR | os.O_CREATE,
		os.O_RDWR | os.O_CREATE | os.O_TRUNC,
		os.O_WRONLY | os.O_APPEND,
	} {
		if f, err := d.OpenFile(name, flag, 0o600); !errors.Is(err, diskfs.ErrIrregular) {
			t.Errorf("open with %#x: %v", flag, err)
			if err == nil {
				_ = f.Close()
			}
		}
	}
	if l, err := d.TryLock(name); !errors.Is(err, diskfs.ErrIrregular) {
		t.Errorf("lock: %v", err)
		if err == nil {
			_ = l.Close()
		}
	}
	_ = diskfs.WriteFile(d, filepath.Join(name, "deeper"), []byte("x"), 0o600)
	_ = diskfs.MkdirAll(d, filepath.Join(name, "deeper"), 0o755)
	_, _ = d.ReadDir(filepath.Dir(name))
	_ = d.SyncDir(filepath.Dir(name))
	_ = diskfs.WriteFile(d, name, []byte("new"), 0o600)
	_ = d.Rename(name, name+"2")
	_ = diskfs.RemoveAll(d, filepath.Dir(name))
}

// treeOf is every name below dir, with what is in the files.
func treeOf(t *testing.T, dir string) (text string) {
	t.Helper()
	check(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		text += path
		if e.Type().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += " " + string(b)
		}
		text += "\n"
		return nil
	}))
	return text
}

// A holder that removes the lock file before it releases the lock does not let two others in: one
// with the lock of the removed file, one with that of a new file.
func TestRemovedLock(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "lock")
	var holders, taken atomic.Int32
	var g sync.WaitGroup
	for range 4 {
		g.Go(func() {
			d := diskfs.Beneath(dir)
			for until := time.Now().Add(300 * time.Millisecond); time.Now().Before(until); {
				l, err := d.TryLock(name)
				if errors.Is(err, diskfs.ErrLocked) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				taken.Add(1)
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d holders", n)
				}
				runtime.Gosched()
				holders.Add(-1)
				if err := d.Remove(name); err != nil && runtime.GOOS != "windows" {
					t.Error(err)
				}
				_ = l.Close()
			}
		})
	}
	g.Wait()
	if taken.Load() == 0 {
		t.Error("the lock was never taken")
	}
}

// What a link is in the way of is not there for a reader either.
func TestBeneathReadsNoLink(t *testing.T) {
	for impl, make := range confined {
		t.Run(impl, func(t *testing.T) {
			base := t.TempDir()
			top := filepath.Join(base, "top")
			check(t, os.Mkdir(top, 0o755))
			check(t, os.WriteFile(filepath.Join(base, "secret"), []byte("secret"), 0o600))
			for name, target := range map[string]string{"file": "../secret", "dir": ".."} {
				if err := os.Symlink(target, filepath.Join(top, name)); err != nil {
					t.Skipf("this system cannot make links: %v", err)
				}
				if _, err := os.Lstat(filepath.Join(top, name)); err != nil {
					t.Skipf("this system says that it made a link, and did not: %v", err)
				}
			}
			d := make(top)
			for _, name := range []string{"file", filepath.Join("dir", "secret")} {
				name = filepath.Join(top, name)
				_, oerr := d.OpenFile(name, os.O_RDONLY, 0)
				_, serr := d.Stat(name)
				_, lerr := d.ReadDir(filepath.Join(top, "dir"))
				for _, err := range []error{oerr, serr, lerr} {
					if !errors.Is(err, diskfs.ErrIrregular) {
						t.Errorf("%s: %v, want ErrIrregular", name, err)
					}
				}
			}
		})
	}
}
