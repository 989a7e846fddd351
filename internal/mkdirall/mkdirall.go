// Package mkdirall makes directories that survive a crash.
package mkdirall

import (
	"errors"
	"io/fs"
	"path/filepath"
)

// An FS is the file system that directories are made in. Methods are those of package os; SyncDir
// makes the names in a directory durable.
type FS interface {
	Stat(name string) (fs.FileInfo, error)
	Mkdir(name string, perm fs.FileMode) error
	SyncDir(name string) error
}

// MkdirAll makes dir and the parents that are missing, and syncs the directories that gained names.
// If dir is there, it does nothing; a file in its place is fs.ErrExist.
func MkdirAll(fsys FS, dir string, perm fs.FileMode) error {
	info, err := fsys.Stat(dir)
	if err == nil {
		if !info.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: dir, Err: fs.ErrExist}
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := MkdirAll(fsys, parent, perm); err != nil {
			return err
		}
	}
	if err := fsys.Mkdir(dir, perm); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return fsys.SyncDir(parent)
}
