//go:build !linux

package digstore

import (
	"os"
	"path/filepath"
)

// listing is a directory and what is in it.
type listing struct {
	path    string
	entries []dirEntry
}

// follow says whether path may be a link.
func openListing(path string, _ []byte, follow bool) (*listing, error) {
	stat := os.Lstat
	if follow {
		stat = os.Stat
	}
	info, err := stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, &os.PathError{Op: "open", Path: path, Err: errNotDirectory}
	}
	list, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	l := &listing{path: path}
	for _, e := range list {
		l.entries = append(l.entries, dirEntry{e.Name(), e.Type().IsRegular(), e.IsDir()})
	}
	return l, nil
}

// stat describes an entry, without following a link.
func (l *listing) stat(base string) (statKey, error) {
	name := filepath.Join(l.path, base)
	info, err := os.Lstat(name)
	if err != nil {
		return statKey{}, err
	}
	return keyOf(info, changeTimeAt(name, info)), nil
}

func (l *listing) close() {}
