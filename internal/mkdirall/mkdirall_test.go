package mkdirall_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/dig-network/digstore/internal/mkdirall"
)

// A disk notes which directories are synced.
type disk struct{ synced []string }

func (*disk) Stat(name string) (fs.FileInfo, error)     { return os.Stat(name) }
func (*disk) Mkdir(name string, perm fs.FileMode) error { return os.Mkdir(name, perm) }

func (d *disk) SyncDir(name string) error {
	d.synced = append(d.synced, name)
	return nil
}

// Each directory that gained a name is synced, the upper one first; what is there is left alone.
func TestMkdirAll(t *testing.T) {
	top := t.TempDir()
	at := func(name string) string { return filepath.Join(top, name) }
	if err := os.WriteFile(at("file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		synced []string
		err    error
	}{
		{"a/b", []string{top, at("a")}, nil},
		{"a/b", nil, nil},
		{"a/b/c", []string{at("a/b")}, nil},
		{"file", nil, fs.ErrExist},
	} {
		var d disk
		err := mkdirall.MkdirAll(&d, at(c.name), 0o700)
		if !errors.Is(err, c.err) || !slices.Equal(d.synced, c.synced) {
			t.Errorf("%s: %v, synced %q; want %v, %q", c.name, err, d.synced, c.err, c.synced)
		}
		if info, err := os.Stat(at(c.name)); c.err == nil && (err != nil || !info.IsDir()) {
			t.Errorf("%s: %v, want a directory", c.name, err)
		}
	}
}
