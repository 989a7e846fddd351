package digstore

import (
	"io"
	"path/filepath"
)

// fileInput is a file below a content root.
func fileInput(root string, f found) input {
	return input{name: f.name, size: f.stat.size, open: func() (contentReader, error) {
		r, err := openRaw(filepath.Join(root, filepath.FromSlash(f.name)))
		if err != nil {
			return nil, err
		}
		return r, nil
	}}
}

// sectionInput is a staged record, or bytes that are here already.
func sectionInput(name string, r io.ReaderAt, off, size int64) input {
	return input{name: name, size: size, open: func() (contentReader, error) {
		return &section{io.NewSectionReader(r, off, size)}, nil
	}}
}

type section struct{ r *io.SectionReader }

func (s *section) stat() (statKey, error) { return statKey{size: s.r.Size()}, nil }

func (s *section) since(statKey) (still, replaced bool, err error) { return true, true, nil }

// readAt reads up to len(b) bytes at off; 0 at the end.
func (s *section) readAt(b []byte, off int64) (int, error) {
	n, err := s.r.ReadAt(b, off)
	if err == io.EOF {
		err = nil
	}
	return n, err
}

func (s *section) close() {}
