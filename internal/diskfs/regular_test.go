package diskfs_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/internal/regular"
)

func TestOpenRegular(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	f, size, err := diskfs.OpenRegular(diskfs.OS(), file, os.O_RDONLY)
	if err != nil || size != 7 {
		t.Fatalf("%d bytes, %v", size, err)
	}
	f.Close()
	if b, err := diskfs.ReadRegular(diskfs.OS(), file, 7); err != nil || string(b) != "content" {
		t.Errorf("%q, %v", b, err)
	}
	if b, err := diskfs.ReadRegular(diskfs.OS(), file, 6); err == nil {
		t.Errorf("too long: %q", b)
	}
	if _, _, err := diskfs.OpenRegular(diskfs.OS(), filepath.Join(dir, "gone"),
		os.O_RDONLY); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if _, _, err := diskfs.OpenRegular(diskfs.OS(), dir, os.O_RDONLY); !errors.Is(err,
		regular.ErrNotRegular) {
		t.Errorf("directory: %v", err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	if _, _, err := diskfs.OpenRegular(diskfs.OS(), link, os.O_RDONLY); !errors.Is(err,
		regular.ErrNotRegular) {
		t.Errorf("link: %v", err)
	}
	// A file that becomes a link between the look and the opening.
	if _, _, err := diskfs.OpenRegular(swapped{diskfs.OS(), file}, link, os.O_RDONLY); err == nil {
		t.Error("a link that looked like a file was opened")
	}
	if _, _, err := diskfs.OpenRegular(swapped{diskfs.OS(), file}, os.DevNull,
		os.O_RDONLY); !errors.Is(err, regular.ErrNotRegular) {
		t.Errorf("a device that looked like a file: %v", err)
	}
}

// swapped describes every name as file is described.
type swapped struct {
	diskfs.FS
	file string
}

func (s swapped) Lstat(string) (fs.FileInfo, error) { return s.FS.Lstat(s.file) }
