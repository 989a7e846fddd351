//go:build !linux

package scan

import (
	"os"
	"path/filepath"
)

// listing is a directory and what is in it.
type listing struct {
	path    string
	entries []entry
}

// openListing reads a directory. follow says whether path may be a link.
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
		l.entries = append(l.entries, entry{e.Name(), e.Type().IsRegular(), e.IsDir()})
	}
	return l, nil
}

// stat implements directory.
func (l *listing) stat(i int) (k Stat, regular bool, err error) {
	name := filepath.Join(l.path, l.entries[i].name)
	info, err := os.Lstat(name)
	if err != nil {
		return Stat{}, false, err
	}
	k = keyOf(info, changeTimeAt(name, info))
	return k, k.isRegular(), nil
}

func (l *listing) close() {}
