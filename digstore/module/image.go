package module

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
)

const (
	// runSize is the number of bytes that are read at once.
	runSize = 256 << 10
	// maxMoves is the number of retries for chunks that have moved in the source.
	maxMoves = 4
)

// An Image is the module that a Recipe describes. Its chunk bodies come from a
// ChunkSource as they are read. It has no cache. It is safe for concurrent use.
type Image struct {
	r   *Recipe
	src ChunkSource // nil: there are no bodies
}

// Image returns the whole module. With a nil source a read that reaches the body
// of a chunk ends before it with fs.ErrNotExist.
func (r *Recipe) Image(src ChunkSource) *Image { return &Image{r: r, src: src} }

// Size returns the length of the module in bytes.
func (m *Image) Size() int64 { return m.r.size }

// ReadAt implements io.ReaderAt. Chunks that are contiguous in the source are read
// with one call.
func (m *Image) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("read module: negative offset")
	}
	if off >= m.r.size {
		return 0, io.EOF
	}
	var short error
	if left := m.r.size - off; int64(len(p)) > left {
		p, short = p[:left], io.EOF
	}
	done := 0
	for i := m.r.partAt(off); done < len(p); i++ {
		at := m.r.parts[i]
		from := off + int64(done) - at.off
		n := int(min(int64(len(p)-done), at.n-from))
		k, err := m.readPart(at, p[done:done+n], from)
		for retry := 0; retry < maxMoves && k < n; retry++ {
			if m.src == nil || !errors.Is(err, fs.ErrNotExist) {
				break
			}
			var more int // the source has moved a chunk since the call of Chunk
			more, err = m.readPart(at, p[done+k:done+n], from+int64(k))
			k += more
		}
		done += k
		if err != nil {
			return done, fmt.Errorf("read module %v at byte %d: %w", m.id(), off+int64(done), err)
		}
	}
	return done, short
}

func (m *Image) id() ID {
	if m.r.head == nil {
		return ID{}
	}
	return m.r.head.id
}

// WriteTo writes the whole module, reading at most 256 KiB at a time.
func (m *Image) WriteTo(w io.Writer) (int64, error) {
	buf := make([]byte, min(m.r.size, runSize))
	var done int64
	for done < m.r.size {
		n := min(int64(len(buf)), m.r.size-done)
		if _, err := m.ReadAt(buf[:n], done); err != nil && err != io.EOF {
			return done, err
		}
		k, err := w.Write(buf[:n])
		done += int64(k)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// readPart fills p with the bytes of the part from offset from on, and returns how
// many it has read. p ends inside the part.
func (m *Image) readPart(at part, p []byte, from int64) (int, error) {
	switch at.kind {
	case partPlain:
		copy(p, m.r.plain[at.a+from:])
	case partFrames:
		if m.src == nil {
			return m.readLengths(p, m.r.ends[at.a]+from)
		}
		return m.readFrames(p, m.r.ends[at.a]+from)
	case partBody:
		if m.src == nil {
			return 0, errNoSource
		}
		c := m.r.chunks[at.a]
		src, off, err := m.src.Chunk(c)
		if err != nil {
			return 0, err
		}
		if err := readFull(src, p, off+4+from, c); err != nil {
			return 0, err
		}
	case partFiller:
		k := newKeystream(m.r.fill[at.b])
		k.read(p, at.a+from)
	case partTable:
		m.r.table.readRows(p, from, m.r.chunks)
	case partLeaves:
		m.r.table.readLeaves(p, from, m.r.chunks)
	}
	return len(p), nil
}

var errNoSource = fmt.Errorf("chunk without a source: %w", fs.ErrNotExist)

// frameAt returns the chunk whose frame holds the byte at offset at of all frames.
func (m *Image) frameAt(at int64) int {
	i, ok := slices.BinarySearch(m.r.ends, at)
	if !ok {
		i--
	}
	return i
}

// readLengths fills p with frames up to the first body.
func (m *Image) readLengths(p []byte, at int64) (int, error) {
	done := 0
	for i := m.frameAt(at); done < len(p); i++ {
		frame := binary.BigEndian.AppendUint32(nil, m.r.chunks[i].Len)
		done += copy(p[done:], frame[min(at+int64(done)-m.r.ends[i], 4):])
		if done < len(p) && at+int64(done) < m.r.ends[i+1] {
			return done, errNoSource
		}
	}
	return done, nil
}

// readFrames fills p with frames, from offset at of all frames on.
func (m *Image) readFrames(p []byte, at int64) (done int, err error) {
	chunks, ends := m.r.chunks, m.r.ends
	i := m.frameAt(at)
	src, off, err := m.src.Chunk(chunks[i])
	for done < len(p) {
		if err != nil {
			return done, err
		}
		first, begin := i, off+at-ends[i]
		run := int64(len(p) - done) // ends where the next frame is not contiguous
		next, behind := src, off
		for ends[i+1]-at < run {
			behind = off + 4 + int64(chunks[i].Len)
			i++
			next, off, err = m.src.Chunk(chunks[i])
			if err != nil || off != behind || !sameReader(src, next) {
				run = ends[i] - at
			}
		}
		if err := m.readRun(p[done:done+int(run)], src, begin, first, at); err != nil {
			return done, err
		}
		done, at, src = done+int(run), at+run, next
	}
	return done, nil
}

// readRun fills p with contiguous frames and checks their lengths.
func (m *Image) readRun(p []byte, src io.ReaderAt, off int64, i int, at int64) error {
	if err := readFull(src, p, off, m.r.chunks[i]); err != nil {
		return err
	}
	for ; i < len(m.r.chunks) && m.r.ends[i] < at+int64(len(p)); i++ {
		frame := binary.BigEndian.AppendUint32(nil, m.r.chunks[i].Len)
		for j, want := range frame {
			if k := m.r.ends[i] - at + int64(j); k >= 0 && k < int64(len(p)) && p[k] != want {
				c := m.r.chunks[i]
				return fmt.Errorf("chunk %v: want a frame of %d bytes, found another length: %w",
					c.ID, c.Len, ErrVerify)
			}
		}
	}
	return nil
}

// readFull fills p.
func readFull(r io.ReaderAt, p []byte, off int64, c Chunk) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("chunk %v: %w", c.ID, err)
}
