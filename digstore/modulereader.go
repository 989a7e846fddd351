package digstore

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// Module opens the bytes of a generation as they were committed or received; fs.ErrNotExist when it is not held. The reader
// is also an io.ReaderAt and, from the current offset on, an io.WriterTo. It keeps no file open between its calls. Chunks
// are hashed before they are read for the first time: damaged ones are ErrCorrupt.
func (s *Store) Module(_ context.Context, root merkle.Hash) (io.ReadSeekCloser, error) {
	g, err := s.At(root)
	if err != nil {
		return nil, err
	}
	if g.recipe == nil {
		return &moduleReader{SectionReader: g.mod.Reader(), digest: g.digest}, nil
	}
	packs := checkedPacks{s, root}
	image := io.NewSectionReader(g.recipe.Image(packs), 0, g.recipe.Size())
	return &moduleReader{SectionReader: image, recipe: g.recipe, packs: packs, digest: g.digest}, nil
}

// moduleReader is the bytes of a module.
type moduleReader struct {
	*io.SectionReader
	recipe *module.Recipe // nil: of the reference's
	packs  checkedPacks
	digest func() (merkle.Hash, error)
}

// Digest stands for the bytes that the module has; zero where nothing does, as for a module of the reference that was
// written just now.
func (m *moduleReader) Digest() (merkle.Hash, error) { return m.digest() }

// Close implements io.Closer.
func (m *moduleReader) Close() error { return nil }

// minStretch is how many bytes must lie side by side in a pack for the system to copy them by itself.
const minStretch = 256 << 10

// moduleBuffer is how much is read at once.
const moduleBuffer = 256 << 10

var moduleBuffers = sync.Pool{New: func() any { b := make([]byte, moduleBuffer); return &b }}

// WriteTo implements io.WriterTo, from the current offset on. A writer that is an io.ReaderFrom is given long stretches
// of packs as files, so that the system copies them where it can.
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

// copyTo writes the bytes from offset at up to end, and returns where it came to.
func (m *moduleReader) copyTo(w io.Writer, at, end int64) (int64, error) {
	if at >= end {
		return at, nil
	}
	buf := moduleBuffers.Get().(*[]byte)
	defer moduleBuffers.Put(buf)
	n, err := io.CopyBuffer(onlyWriter{w}, onlyReader{io.NewSectionReader(m, at, end-at)}, *buf)
	return at + n, err
}

// writeStretches writes from offset at to the end of the last long stretch.
func (m *moduleReader) writeStretches(w io.Writer, direct io.ReaderFrom, at int64) (int64, error) {
	var f packHandle
	defer f.close()
	for s, err := range m.recipe.Extents(m.packs, minStretch) {
		if err != nil {
			return at, err
		}
		end := s.Offset + s.Length
		if end-at < minStretch || !f.open(s.Reader) {
			continue
		}
		if at, err = m.copyTo(w, at, s.Offset); err != nil {
			return at, err
		}
		if _, err := f.file.Seek(s.At+at-s.Offset, io.SeekStart); err != nil {
			return at, fmt.Errorf("read pack: %w", err)
		}
		n, err := direct.ReadFrom(&io.LimitedReader{R: f.file, N: end - at})
		if at += n; err == nil && at < end {
			err = fmt.Errorf("read pack %s: %w", f.of.name, io.ErrUnexpectedEOF)
		}
		if err != nil {
			return at, err
		}
	}
	return at, nil
}

// packHandle is a pack opened for one reader, with a place of its own in the file.
type packHandle struct {
	of   *packFile
	file *os.File
}

// open opens the file of a pack, and reports whether it is one that the system can copy from: on the disk, and the
// very file that others read.
func (h *packHandle) open(r io.ReaderAt) bool {
	p, ok := r.(*packFile)
	if !ok {
		return false
	}
	if h.of == p {
		return h.file != nil
	}
	h.close()
	h.of = p
	f, err := p.set.fs.OpenFile(p.name, openRead, 0)
	if err != nil {
		return false
	}
	file, ok := f.(*os.File)
	if !ok || !p.is(file) {
		_ = f.Close()
		return false
	}
	h.file = file
	return true
}

func (h *packHandle) close() {
	if h.file != nil {
		_ = h.file.Close()
	}
	h.of, h.file = nil, nil
}

// is reports whether an open file is that of the pack: by now another one may have its name.
func (f *packFile) is(file *os.File) bool {
	if f.openFile() != nil {
		return false
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.f == nil {
		return false
	}
	mine, err := f.f.Stat()
	if err != nil {
		return false
	}
	its, err := file.Stat()
	return err == nil && os.SameFile(mine, its)
}

type onlyWriter struct{ io.Writer }
type onlyReader struct{ io.Reader }
