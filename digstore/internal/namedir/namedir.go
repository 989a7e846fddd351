// Package namedir keeps the names that a store has learned in its directory names, for all of its
// generations (LAYOUT.md 7.4). A retrieval key is a hash of the store id and the name, so it is the
// same in every generation and is not stored. The format of a file is in package names.
package namedir

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/dig-network/digstore/digstore/internal/damage"
	"github.com/dig-network/digstore/digstore/internal/names"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
)

// SubDir is the directory of the files, below that of the store.
const SubDir = "names"

const (
	ext = ".names"
	// maxBytes is the limit of all files together.
	maxBytes = 128 << 20
	// mergeFactor limits merging: an older file is merged if it is at most so many times as long as
	// the new one.
	mergeFactor = 8
)

// A Set is a set of names.
type Set map[string]struct{}

// Add adds the valid names of list.
func (s Set) Add(list []string) {
	for _, name := range list {
		if names.Valid(name) {
			s[name] = struct{}{}
		}
	}
}

// Remove removes the names of list.
func (s Set) Remove(list []string) {
	for _, name := range list {
		delete(s, name)
	}
}

// A Dir reads and writes the files. Add needs the lock of the store.
type Dir struct {
	fs   diskfs.FS
	path string
}

// New returns the names of the store in the directory dir.
func New(fsys diskfs.FS, dir string) *Dir { return &Dir{fsys, filepath.Join(dir, SubDir)} }

// file is one file of names.
type file struct {
	path   string
	number uint64
	list   []string
	size   int64
	damage error // nil: the list is complete
}

// list returns the files, oldest first. It does not read them.
func (d *Dir) list() ([]file, error) {
	list, err := d.fs.ReadDir(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list files of names: %w", err)
	}
	var files []file
	for _, e := range list {
		digits, ok := strings.CutSuffix(e.Name(), ext)
		number, err := strconv.ParseUint(digits, 16, 64)
		if ok && err == nil && len(digits) == 16 && number < math.MaxUint64 {
			files = append(files, file{path: filepath.Join(d.path, e.Name()), number: number})
		}
	}
	return files, nil // ReadDir sorts
}

// Files returns the paths of the files, oldest first.
func (d *Dir) Files() ([]string, error) {
	files, err := d.list()
	var paths []string
	for _, f := range files {
		paths = append(paths, f.path)
	}
	return paths, err
}

// read reads the files. If a file is damaged, its damage is set and its list has the names that
// could be read. If a file was removed, the error is fs.ErrNotExist: a writer has merged it.
func (d *Dir) read() ([]file, error) {
	files, err := d.list()
	if err != nil {
		return nil, err
	}
	left := int64(maxBytes)
	for i := range files {
		f := &files[i]
		b, err := diskfs.ReadFile(d.fs, f.path, left)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, module.ErrRemoved):
			return nil, fmt.Errorf("read names: %w", err)
		case err != nil:
			f.damage = fmt.Errorf("read names: %w", err)
			continue
		}
		f.size = int64(len(b))
		left -= f.size
		if f.list, err = names.Decode(b); err != nil {
			f.damage = damage.In(f.path, "%v", err)
		}
	}
	return files, nil
}

// All returns the names, newest first. damage is an error about the files that cannot be read
// completely. All needs no lock.
func (d *Dir) All() (list []string, damage, err error) {
	const attempts = 20 // one more each time a writer has merged files
	var files []file
	for range attempts {
		files, err = d.read()
		if !errors.Is(err, fs.ErrNotExist) || errors.Is(err, module.ErrRemoved) {
			break
		}
	}
	if err != nil {
		return nil, nil, err
	}
	var damages []error
	for _, f := range slices.Backward(files) {
		list = append(list, f.list...)
		damages = append(damages, f.damage)
	}
	return list, errors.Join(damages...), nil
}

// Add adds names, durably, and returns how many are new. Names above the limit of all files are
// left out. If there is no file yet, Add calls first, which returns further names and whether to
// make a file even if there are no names.
func (d *Dir) Add(list []string, first func() (Set, bool, error)) (int, error) {
	files, err := d.read()
	if err != nil {
		return 0, err
	}
	fresh := make(Set, len(list))
	fresh.Add(list)
	empty := len(files) == 0
	if empty {
		more, needed, err := first()
		if err != nil {
			return 0, err
		}
		if !needed && len(list) == 0 {
			return 0, nil
		}
		for name := range more {
			fresh[name] = struct{}{}
		}
	}
	left := maxBytes - names.Size(nil)
	for _, f := range files {
		fresh.Remove(f.list)
		left -= f.size
	}
	var added []string
	for name := range fresh {
		if left -= names.Cost(name); left < 0 {
			break
		}
		added = append(added, name)
	}
	if len(added) == 0 && !empty {
		return 0, nil
	}
	return len(added), d.write(files, added)
}

// write writes a new file of names. It merges the newest files that are not much longer into it, so
// that there are few files and names are rarely written again. It does not merge damaged files.
func (d *Dir) write(files []file, list []string) error {
	merged := len(files)
	for merged > 0 {
		f := files[merged-1]
		if f.damage != nil || f.size > mergeFactor*names.Size(list) {
			break
		}
		list = append(list, f.list...)
		merged--
	}
	number := uint64(1)
	if n := len(files); n > 0 {
		number = files[n-1].number + 1
	}
	slices.Sort(list)
	list = slices.Compact(list)
	if err := diskfs.MkdirAll(d.fs, d.path, 0o700); err != nil {
		return fmt.Errorf("write names: %w", err)
	}
	path := filepath.Join(d.path, fmt.Sprintf("%016x%s", number, ext))
	if err := diskfs.WriteFile(d.fs, path, names.Encode(list), 0o600); err != nil {
		return fmt.Errorf("write names: %w", err)
	}
	for _, f := range files[merged:] {
		_ = d.fs.Remove(f.path) // after an error the file is redundant
	}
	return nil
}
