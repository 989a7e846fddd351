package digstore

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/dig-network/digstore/digstore/internal/packdir"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// Module opens the module of a generation, bit for bit as it was committed or received;
// fs.ErrNotExist if it is not held. The reader is also an io.ReaderAt and, from the current offset
// on, an io.WriterTo. It keeps no file open between calls. Chunks are hashed before they are read
// for the first time; a damaged one is ErrCorrupt.
func (s *Store) Module(_ context.Context, root merkle.Hash) (io.ReadSeekCloser, error) {
	g, err := s.At(root)
	if err != nil {
		return nil, err
	}
	if g.recipe == nil {
		return &moduleReader{SectionReader: g.mod.Reader(), digest: g.digest}, nil
	}
	packs := s.dir.Packs.Checked(root, func() (bool, error) { return s.dir.Recipes.Has(root) })
	image := io.NewSectionReader(g.recipe.Image(packs), 0, g.recipe.Size())
	return &moduleReader{SectionReader: image, recipe: g.recipe, packs: packs, digest: g.digest}, nil
}

// moduleReader reads a module.
type moduleReader struct {
	*io.SectionReader
	recipe *module.Recipe // nil: written by the reference implementation
	packs  packdir.Checked
	digest func() (merkle.Hash, error)
}

// Digest returns a value that identifies the bytes of the module. It is zero if there is none, as
// for a module of the reference implementation that has just been written.
func (m *moduleReader) Digest() (merkle.Hash, error) { return m.digest() }

// Close implements io.Closer.
func (m *moduleReader) Close() error { return nil }

// minStretch is how many adjacent bytes of a pack are copied by the operating system.
const minStretch = 256 << 10

// moduleBuffer is the size of a read.
const moduleBuffer = 256 << 10

var moduleBuffers = sync.Pool{New: func() any { b := make([]byte, moduleBuffer); return &b }}

// WriteTo implements io.WriterTo, from the current offset on. If w is an io.ReaderFrom, long parts
// of packs are passed to it as files, so that the operating system can copy them.
func (m *moduleReader) WriteTo(w io.Writer) (int64, error) {
	from, err := m.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	at := from
	if direct, ok := w.(io.ReaderFrom); ok && m.recipe != nil {
		at, err = m.writeStretches(w, direct, at)
	}
	if err == nil {
		at, err = m.copyTo(w, at, m.Size())
	}
	if _, serr := m.Seek(at, io.SeekStart); err == nil {
		err = serr
	}
	return at - from, err
}

// copyTo writes the bytes from offset at to end, and returns the offset that it reached.
func (m *moduleReader) copyTo(w io.Writer, at, end int64) (int64, error) {
	if at >= end {
		return at, nil
	}
	buf := moduleBuffers.Get().(*[]byte)
	defer moduleBuffers.Put(buf)
	n, err := io.CopyBuffer(onlyWriter{w}, onlyReader{io.NewSectionReader(m, at, end-at)}, *buf)
	return at + n, err
}

// writeStretches writes the bytes from offset at to the end of the last long part of a pack.
func (m *moduleReader) writeStretches(w io.Writer, direct io.ReaderFrom, at int64) (int64, error) {
	var handle packdir.Handle
	defer handle.Close()
	for s, err := range m.recipe.Extents(m.packs, minStretch) {
		if err != nil {
			return at, err
		}
		end := s.Offset + s.Length
		if end-at < minStretch {
			continue
		}
		file := handle.Open(s.Reader)
		if file == nil {
			continue
		}
		if at, err = m.copyTo(w, at, s.Offset); err != nil {
			return at, err
		}
		if _, err := file.Seek(s.At+at-s.Offset, io.SeekStart); err != nil {
			return at, fmt.Errorf("read pack: %w", err)
		}
		n, err := direct.ReadFrom(&io.LimitedReader{R: file, N: end - at})
		if at += n; err == nil && at < end {
			err = fmt.Errorf("read pack %s: %w", handle.Path(), io.ErrUnexpectedEOF)
		}
		if err != nil {
			return at, err
		}
	}
	return at, nil
}

type onlyWriter struct{ io.Writer }
type onlyReader struct{ io.Reader }
