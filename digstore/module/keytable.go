package module

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/dig-network/digstore/merkle"
)

const (
	// Limits of a module that is read without a recipe.
	maxRows   = 1 << 21 // resources
	maxRefs   = 1 << 22 // chunks of one resource
	maxFrames = 1 << 22 // chunks in the pool
)

var errCount = errors.New("count exceeds the bytes that follow")

// A tableRow is one row of section 8.
type tableRow struct {
	off  int64 // in the section
	key  merkle.Hash
	refs []uint32
}

// A rowReader reads the rows of section 8 in order.
type rowReader struct {
	m    *Module
	r    *bufio.Reader
	at   int64 // in the section
	left int   // rows
	end  int64
}

// rows starts reading at the first row.
func (m *Module) rows() (*rowReader, error) {
	s, err := m.need(SectionKeyTable)
	if err != nil {
		return nil, err
	}
	rr := &rowReader{m: m, r: bufio.NewReaderSize(s, int(min(s.Size(), 64<<10))), end: s.Size()}
	var count [4]byte
	if rr.end < 4 {
		return nil, m.bad(SectionKeyTable, 0, errCount)
	}
	if err := rr.fill(count[:]); err != nil {
		return nil, err
	}
	n := int64(binary.BigEndian.Uint32(count[:]))
	if n > (rr.end-4)/rowFixed {
		return nil, m.bad(SectionKeyTable, 0, errCount)
	}
	if n > maxRows {
		return nil, m.bad(SectionKeyTable, 0, fmt.Errorf("%d resources, want at most %d", n, maxRows))
	}
	rr.left = int(n)
	return rr, nil
}

// rowAt reads the row that begins there in section 8.
func (m *Module) rowAt(off int64) (tableRow, error) {
	s, err := m.need(SectionKeyTable)
	if err != nil {
		return tableRow{}, err
	}
	at := io.NewSectionReader(s, off, s.Size()-off)
	rr := &rowReader{m: m, r: bufio.NewReaderSize(at, 256), at: off, end: s.Size(), left: 1}
	return rr.next()
}

func (rr *rowReader) fill(p []byte) error {
	if _, err := io.ReadFull(rr.r, p); err != nil {
		return rr.failed(err)
	}
	rr.at += int64(len(p))
	return nil
}

// failed wraps an error of the reader at the present offset.
func (rr *rowReader) failed(err error) error {
	at := rr.m.head.sections[SectionKeyTable].off + rr.at
	return fmt.Errorf("read module at byte %d: %w", at, err)
}

// key reads the next row up to its indices.
func (rr *rowReader) key() (row tableRow, refs int64, err error) {
	row.off = rr.at
	rr.left--
	var fixed [keyTail]byte
	if rr.end-rr.at < rowFixed {
		return row, 0, rr.m.bad(SectionKeyTable, rr.at, errCount)
	}
	if err := rr.fill(fixed[:]); err != nil {
		return row, 0, err
	}
	copy(row.key[:], fixed[:])
	refs = int64(binary.BigEndian.Uint32(fixed[64:]))
	if refs > (rr.end-rr.at-8)/4 {
		return row, 0, rr.m.bad(SectionKeyTable, rr.at-4, errCount)
	}
	return row, refs, nil
}

// skip reads the next row without keeping its indices.
func (rr *rowReader) skip() (tableRow, error) {
	row, refs, err := rr.key()
	if err != nil {
		return row, err
	}
	for n := 4*refs + 8; n > 0; {
		k, err := rr.r.Discard(int(min(n, 1<<20)))
		rr.at += int64(k)
		n -= int64(k)
		if err != nil {
			return row, rr.failed(err)
		}
	}
	return row, nil
}

// next reads the next row.
func (rr *rowReader) next() (tableRow, error) {
	row, refs, err := rr.key()
	if err != nil {
		return row, err
	}
	if refs > maxRefs {
		err := fmt.Errorf("resource %v: %d chunks, want at most %d", row.key, refs, maxRefs)
		return row, rr.m.bad(SectionKeyTable, rr.at-4, err)
	}
	b := make([]byte, 4*refs+8)
	if err := rr.fill(b); err != nil {
		return row, err
	}
	row.refs = make([]uint32, refs)
	for i := range row.refs {
		row.refs[i] = binary.BigEndian.Uint32(b[4*i:])
	}
	return row, nil
}

// An index finds rows by their keys, which are sorted and distinct.
type index struct{ rows []indexRow }

type indexRow struct {
	key merkle.Hash
	off int64 // in section 8
}

// keys returns the index of the key table, which is read once. Of equal keys it
// has the first row.
func (m *Module) keys() (*index, error) {
	m.indexing.Do(func() { m.index, m.indexErr = m.readKeys() })
	return m.index, m.indexErr
}

func (m *Module) readKeys() (*index, error) {
	rr, err := m.rows()
	if err != nil {
		return nil, err
	}
	ix := &index{rows: make([]indexRow, 0, rr.left)}
	for rr.left > 0 {
		row, err := rr.skip()
		if err != nil {
			return nil, err
		}
		ix.rows = append(ix.rows, indexRow{row.key, row.off})
	}
	slices.SortStableFunc(ix.rows, func(a, b indexRow) int { return a.key.Compare(b.key) })
	ix.rows = slices.CompactFunc(ix.rows, func(a, b indexRow) bool { return a.key == b.key })
	return ix, nil
}

// find returns the rank of a key.
func (ix *index) find(key merkle.Hash) (int, bool) {
	compare := func(r indexRow, key merkle.Hash) int { return r.key.Compare(key) }
	return slices.BinarySearchFunc(ix.rows, key, compare)
}

// A pool has the offsets of the frames of section 9.
type pool struct {
	at   byteRange
	offs []uint32 // where the frames begin in the section
	end  uint32   // where the last one ends
}

// frames returns the pool, whose lengths are read once.
func (m *Module) frames() (*pool, error) {
	m.mapping.Do(func() { m.pool, m.poolErr = m.readPool() })
	return m.pool, m.poolErr
}

func (m *Module) readPool() (*pool, error) {
	s, err := m.need(SectionChunkPool)
	if err != nil {
		return nil, err
	}
	p := &pool{at: m.head.sections[SectionChunkPool]}
	look := peeker{r: s, size: s.Size()}
	n, err := look.u32(0)
	if err != nil {
		return nil, m.badRead(SectionChunkPool, 0, err)
	}
	if int64(n) > (s.Size()-4)/4 {
		return nil, m.bad(SectionChunkPool, 0, errCount)
	}
	if n > maxFrames {
		return nil, m.bad(SectionChunkPool, 0, fmt.Errorf("%d chunks, want at most %d", n, maxFrames))
	}
	p.offs = make([]uint32, 0, n)
	off := int64(4)
	for range n {
		p.offs = append(p.offs, uint32(off))
		length, err := look.u32(off)
		if err != nil {
			return nil, m.badRead(SectionChunkPool, off, err)
		}
		if off += 4 + int64(length); off > s.Size() {
			err := fmt.Errorf("chunk of %d bytes ends behind the section", length)
			return nil, m.bad(SectionChunkPool, off-4-int64(length), err)
		}
	}
	p.end = uint32(off)
	return p, nil
}

// body returns where the body of a chunk lies in the module.
func (p *pool) body(ref uint32) byteRange {
	end := p.end
	if int(ref)+1 < len(p.offs) {
		end = p.offs[ref+1]
	}
	return byteRange{p.at.off + int64(p.offs[ref]) + 4, int64(end-p.offs[ref]) - 4}
}

// badRead returns a FormatError for a section that is too short, else err.
func (m *Module) badRead(id Section, at int64, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return m.bad(id, at, err)
	}
	return err
}

// need returns a section; one that is missing is a FormatError.
func (m *Module) need(id Section) (*io.SectionReader, error) {
	at, ok := m.head.sections[id]
	if !ok {
		return nil, &FormatError{Fault: MissingSection, Section: id, Offset: -1}
	}
	return io.NewSectionReader(m.r, at.off, at.n), nil
}

// A peeker reads single numbers through a small buffer.
type peeker struct {
	r    io.ReaderAt
	size int64
	buf  [512]byte
	at   int64
	n    int64
}

func (p *peeker) u32(off int64) (uint32, error) {
	if off+4 > p.size {
		return 0, io.ErrUnexpectedEOF
	}
	if off < p.at || off+4 > p.at+p.n {
		n, err := p.r.ReadAt(p.buf[:min(int64(len(p.buf)), p.size-off)], off)
		p.at, p.n = off, int64(n)
		if n < 4 {
			return 0, fmt.Errorf("read module: %w", readError(err))
		}
	}
	return binary.BigEndian.Uint32(p.buf[off-p.at:]), nil
}
