package secretfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// noLinks is a disk without hard links.
type noLinks struct{ Disk }

func (noLinks) RenameNew(string, string) error { return errNoLinks }

// Of several calls at once one makes the file, whole, and nothing else is left; with hard links
// and without.
func TestCreate(t *testing.T) {
	for name, create := range map[string]func(path string, data []byte) error{
		"links":    func(path string, data []byte) error { return Create(Disk{}, path, data) },
		"no links": func(path string, data []byte) error { return Create(noLinks{}, path, data) },
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "key")
		errs := make([]error, 16)
		var all sync.WaitGroup
		for i := range errs {
			all.Go(func() { errs[i] = create(path, []byte{byte(i), byte(i)}) })
		}
		all.Wait()
		made := -1
		for i, err := range errs {
			switch {
			case err == nil && made < 0:
				made = i
			case err == nil:
				t.Errorf("%s: made by %d and by %d", name, made, i)
			case !errors.Is(err, fs.ErrExist):
				t.Errorf("%s: %v", name, err)
			}
		}
		b, err := os.ReadFile(path)
		if err != nil || made < 0 || string(b) != string([]byte{byte(made), byte(made)}) {
			t.Errorf("%s: % x, %v, want what %d has written", name, b, err, made)
		}
		list, err := os.ReadDir(dir)
		if err != nil || len(list) != 1 {
			t.Errorf("%s: left %v, %v", name, list, err)
		}
	}
}

// What cannot be written is not left behind.
func TestCreateFails(t *testing.T) {
	if err := Create(Disk{}, filepath.Join(t.TempDir(), "missing", "key"), nil); !errors.Is(err,
		fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	dir := t.TempDir()
	if err := Create(failing{}, filepath.Join(dir, "key"), []byte("x")); !errors.Is(err, errWrite) {
		t.Errorf("write: %v", err)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 0 {
		t.Errorf("left %v, %v", list, err)
	}
}

var errWrite = errors.New("no space")

type failing struct{ Disk }

type failingFile struct{ *os.File }

func (failing) OpenFile(name string, flag int, perm fs.FileMode) (failingFile, error) {
	f, err := os.OpenFile(name, flag, perm)
	return failingFile{f}, err
}

func (failingFile) Write([]byte) (int, error) { return 0, errWrite }
