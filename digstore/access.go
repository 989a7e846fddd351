package digstore

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dig-network/digstore/digstore/internal/smallfile"
	"github.com/dig-network/digstore/internal/secretfile"
)

// checkDirs returns an *AccessError if other users may replace files in a directory from .dig to
// dir, unless the options name the workspace as safe. Directories that do not exist are not
// checked.
func (w *Workspace) checkDirs(dir string) error {
	if w.isSafe() {
		return nil
	}
	rel, err := filepath.Rel(w.dir, dir) // begins with .dig
	if err != nil {
		return err
	}
	at := w.dir
	for part := range strings.SplitSeq(rel, string(filepath.Separator)) {
		at = filepath.Join(at, part)
		info, err := w.fs.Stat(at)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := secretfile.CheckDir(at, info); err != nil {
			return err
		}
	}
	return nil
}

// readSecret reads a file that checkSecret accepts. A missing file is fs.ErrNotExist.
func (w *Workspace) readSecret(name string) ([]byte, error) {
	if err := w.checkSecret(name); err != nil {
		return nil, err
	}
	return smallfile.Read(w.fs, name)
}

// checkSecret returns an *AccessError for a file that a user other than root can read or owns, or
// whose directory checkDirs refuses. The owner is not checked if the options name the workspace as
// safe.
func (w *Workspace) checkSecret(name string) error {
	info, err := w.fs.Stat(name)
	if err != nil {
		return err
	}
	if err := secretfile.CheckMode(name, info); err != nil {
		return err
	}
	if w.isSafe() {
		return nil
	}
	if err := secretfile.CheckOwner(name, info); err != nil {
		return err
	}
	return w.checkDirs(filepath.Dir(name))
}

// checkOwner returns an error if .dig does not exist, or belongs to another user.
func (w *Workspace) checkOwner() error {
	info, err := w.fs.Stat(w.dot)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return ErrNoWorkspace
	}
	if err != nil {
		return err
	}
	if err := secretfile.CheckOwner(w.dot, info); err != nil && !w.isSafe() {
		return err
	}
	return nil
}

// isSafe reports whether the options name the folder of the workspace as safe.
func (w *Workspace) isSafe() bool {
	if len(w.safe) == 0 {
		return false
	}
	here := realPath(w.dir)
	return slices.ContainsFunc(w.safe, func(dir string) bool {
		return dir == "*" || realPath(dir) == here
	})
}
