package digstore

import (
	"io"
	"path/filepath"

	"github.com/dig-network/digstore/digstore/internal/scan"
)

// fileInput is a file below a content root.
func fileInput(root string, f scan.Found) input {
	return input{name: f.Name, size: f.Stat.Size, open: func() (contentReader, error) {
		r, err := scan.Open(filepath.Join(root, filepath.FromSlash(f.Name)))
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

func (s *section) Stat() (scan.Stat, error) { return scan.Stat{Size: s.r.Size()}, nil }

func (s *section) Since(scan.Stat) (still, replaced bool, err error) { return true, true, nil }

// ReadAt reads up to len(b) bytes at off; 0 at the end.
func (s *section) ReadAt(b []byte, off int64) (int, error) {
	n, err := s.r.ReadAt(b, off)
	if err == io.EOF {
		err = nil
	}
	return n, err
}

func (s *section) Close() {}
