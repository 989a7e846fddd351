//go:build unix

package regular_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/dig-network/digstore/internal/regular"
)

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.WriteFile(at("file"), []byte("12345"), 0o600),
		os.Symlink("file", at("link")),
		os.Symlink("/dev/zero", at("zero")),
		os.Symlink("loop", at("loop")),
		syscall.Mkfifo(at("pipe"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		max  int64
		want string
		err  error // nil with want "": any
	}{
		{"file", 5, "12345", nil},
		{"link", 5, "12345", nil},
		{"file", 4, "", nil},
		{"none", 5, "", fs.ErrNotExist},
		{"pipe", 5, "", regular.ErrNotRegular},
		{"zero", 5, "", regular.ErrNotRegular},
		{".", 5, "", regular.ErrNotRegular},
		{"loop", 5, "", nil},
	} {
		b, err := regular.ReadFile(at(c.name), c.max)
		if string(b) != c.want || (err == nil) != (c.want != "") ||
			c.err != nil && !errors.Is(err, c.err) {
			t.Errorf("%s, at most %d bytes: %q, %v; want %q, %v", c.name, c.max, b, err, c.want, c.err)
		}
	}
}
