package auth

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// Where a file system has no links, the file is made in place, and still only when it is new.
func TestCreateWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key.bin")
	k := NewKey([SeedSize]byte{1})
	if err := createWhole(path, k.Seed()); err != nil {
		t.Fatal(err)
	}
	got, err := ReadKey(path)
	if err != nil || got.PublicKey() != k.PublicKey() {
		t.Errorf("got %v, %v, want %v", got, err, k)
	}
	if err := createWhole(path, [SeedSize]byte{2}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v, want %v", err, fs.ErrExist)
	}
}

// A file that cannot be written is not left behind.
func TestWriteSyncedFails(t *testing.T) {
	f, err := os.Open(os.DevNull) // for reading only
	if err != nil {
		t.Fatal(err)
	}
	if err := writeSynced(f, [SeedSize]byte{}); err == nil {
		t.Error("wrote to a file that is open for reading")
	}
	if _, err := writeTemp(filepath.Join(t.TempDir(), "missing"), [SeedSize]byte{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want %v", err, fs.ErrNotExist)
	}
}
