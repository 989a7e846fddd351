package digstore

import (
	"errors"
	"io/fs"
)

// AnyNames lets a commit accept all resource names, as other implementations do.
func (o *CommitOptions) AnyNames() *CommitOptions {
	o.anyNames = true
	return o
}

// OnWindows is onWindows, for external tests.
var OnWindows = onWindows

// Learn adds names to those that the store has learned.
func (s *Store) Learn(list []string) (int, error) { return s.dir.Learn(list) }

// NameFiles describes the files of names, oldest first.
func (s *Store) NameFiles() ([]fs.FileInfo, error) {
	files, err := s.dir.Names.Files()
	var list []fs.FileInfo
	for _, path := range files {
		info, err := s.w.fs.Stat(path)
		if err != nil {
			return nil, err
		}
		list = append(list, info)
	}
	return list, err
}

// KeptNames returns the names that the store has learned.
func (s *Store) KeptNames() ([]string, error) {
	list, damage, err := s.dir.Names.All()
	return list, errors.Join(damage, err)
}
