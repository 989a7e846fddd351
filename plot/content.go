package plot

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"sync"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
)

// A Mode says what is checked when content is read.
type Mode int

const (
	// Verified checks the checksum of each block and its chunks against the
	// chunk root of the descriptor. It is the default.
	Verified Mode = iota
	// Fast checks only the checksums of blocks, which do not withstand intent.
	Fast
)

// A Capsule is the content of one capsule in an open plot: an io.ReadSeeker,
// io.ReaderAt and io.WriterTo. ReadAt may be called concurrently. It reads
// from its Reader, which must stay open.
type Capsule struct {
	r         *Reader
	rec       Record
	head      *extentHeader
	mode      Mode
	chunkRoot merkle.Hash

	page []byte // the first page of the extent

	mu       sync.Mutex
	subroots []merkle.Hash

	stream blockStream
}

// A blockStream is the position of Read, Seek and WriteTo in the content of a
// capsule. Read keeps the block that it is in, so that small reads decode and
// check each block once.
type blockStream struct {
	pos    int64
	block  []byte // content of block number; nil when there is none
	number int64
}

// read implements Read over size bytes of content, which readAt reads.
func (s *blockStream) read(p []byte, size int64,
	readAt func([]byte, int64) (int, error)) (int, error) {
	if s.pos >= size {
		return 0, io.EOF
	}
	number := s.pos / blockSize
	if s.block == nil || s.number != number {
		rest := size - number*blockSize
		if int64(len(p)) >= min(blockSize, rest) {
			n, err := readAt(p, s.pos)
			s.pos += int64(n)
			if n > 0 && errors.Is(err, io.EOF) {
				err = nil
			}
			return n, err
		}
		if s.block == nil {
			s.block = make([]byte, 0, min(blockSize, size))
		}
		block := s.block[:min(blockSize, rest)]
		s.number = -1 // until it is read
		if n, err := readAt(block, number*blockSize); n < len(block) {
			return 0, err
		}
		s.block, s.number = block, number
	}
	n := copy(p, s.block[s.pos-number*blockSize:])
	s.pos += int64(n)
	return n, nil
}

// seek implements Seek over size bytes of content.
func (s *blockStream) seek(off int64, whence int, size int64) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		off += s.pos
	case io.SeekEnd:
		off += size
	default:
		return 0, fmt.Errorf("seek with whence %d: %w", whence, fs.ErrInvalid)
	}
	if off < 0 {
		return 0, fmt.Errorf("seek to %d: %w", off, fs.ErrInvalid)
	}
	s.pos = off
	return off, nil
}

// Capsule opens the content that d describes, which is found by its hash, in
// the mode Verified or Fast. A Capsule in mode Verified needs the chunk root of
// d and gives no byte that does not belong to it. Absence is fs.ErrNotExist.
func (r *Reader) Capsule(d capsule.Descriptor, m Mode) (*Capsule, error) {
	rec, err := r.find(d)
	if err != nil {
		return nil, err
	}
	return r.openRecord(rec, d.ChunkRoot, m)
}

// openRecord opens the content of a record, of which chunkRoot is known.
func (r *Reader) openRecord(rec Record, chunkRoot merkle.Hash, m Mode) (*Capsule, error) {
	c := &Capsule{r: r, rec: rec, mode: m, chunkRoot: chunkRoot, page: make([]byte, pageSize)}
	if err := readFull(r.src, c.page, rec.Offset); err != nil {
		return nil, err
	}
	var err error
	if c.head, err = parseExtentHeader(c.page, rec.Offset); err != nil {
		return nil, err
	}
	if err := c.head.belongsTo(&rec); err != nil {
		return nil, err
	}
	if end := r.bodyOf(dataTable) +
		r.tables[dataTable-1].bodySize; rec.Offset+align(c.head.stored) > end {
		return nil, damaged(ErrExtent, "extent header", rec.Offset,
			"extent of %d bytes passes the end of C4", c.head.stored)
	}
	if m == Verified && c.head.chunkRoot != chunkRoot {
		return nil, damaged(ErrExtent, "extent header", rec.Offset, "chunk root %s, expected %s",
			c.head.chunkRoot, chunkRoot)
	}
	return c, nil
}

// Size returns the number of bytes of content.
func (c *Capsule) Size() int64 { return int64(c.rec.Size) }

// Record returns the record that the content was found by.
func (c *Capsule) Record() Record { return c.rec }

// Close ends the use of the Capsule. It never fails.
func (c *Capsule) Close() error {
	c.stream.block = nil
	return nil
}

// subrootList returns the subroots, which it reads at the first call.
func (c *Capsule) subrootList() ([]merkle.Hash, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.subroots != nil {
		return c.subroots, nil
	}
	i, err := c.r.ordinal(&c.rec)
	if err != nil {
		return nil, err
	}
	e, err := c.r.merkleEntry(i, c.rec.Size)
	if err != nil {
		return nil, err
	}
	if e.chunkRoot != c.head.chunkRoot {
		return nil, damaged(ErrTable, fmt.Sprintf("C5 entry %d", i), -1,
			"chunk root %s, the extent says %s", e.chunkRoot, c.head.chunkRoot)
	}
	c.subroots, err = readSubroots(c.r.src, &e, c.r.bodyOf(merkleTable))
	return c.subroots, err
}

// entries reads the block entries first to last.
func (c *Capsule) entries(first, last int) ([]blockEntry, error) {
	from, to := extentHeaderSize+first*blockEntrySize, extentHeaderSize+(last+1)*blockEntrySize
	b := c.page[min(from, pageSize):min(to, pageSize)]
	if to > pageSize {
		b = make([]byte, to-from)
		if err := readFull(c.r.src, b, c.rec.Offset+int64(from)); err != nil {
			return nil, err
		}
	}
	list := make([]blockEntry, last-first+1)
	for i := range list {
		e, err := parseBlockEntry(b[i*blockEntrySize:], c.head, first+i, c.rec.Offset)
		if err != nil {
			return nil, err
		}
		if i > 0 && e.offset != list[i-1].offset+int64(list[i-1].length) {
			return nil, damaged(ErrExtent, fmt.Sprintf("entry of block %d", first+i), c.rec.Offset,
				"leaves a gap")
		}
		list[i] = e
	}
	return list, nil
}

// maxRun is the number of blocks that one read asks for.
const maxRun = 8

// blocks calls yield with the content of the blocks first to last in order,
// read in runs and checked as the mode wants. The content is valid until yield
// returns.
func (c *Capsule) blocks(first, last int, yield func(i int, content []byte) error) error {
	var subroots []merkle.Hash
	if c.mode == Verified {
		var err error
		if subroots, err = c.subrootList(); err != nil {
			return err
		}
	}
	return c.read(first, last, subroots, yield)
}

// read is blocks with the checksums of blocks only, and their subroots when
// they are given.
func (c *Capsule) read(first, last int, subroots []merkle.Hash,
	yield func(i int, content []byte) error) error {
	buf := blockBuffers.Get().(*blockBuffer)
	defer blockBuffers.Put(buf)
	for first <= last {
		end := min(last, first+maxRun-1)
		list, err := c.entries(first, end)
		if err != nil {
			return err
		}
		tail := list[len(list)-1]
		stored := buf.stored[:tail.offset+int64(tail.length)-list[0].offset]
		if err := readFull(c.r.src, stored, c.rec.Offset+list[0].offset); err != nil {
			return err
		}
		for n := range list {
			i, e := first+n, &list[n]
			content, err := e.open(buf.content[:blockLength(c.rec.Size, i)],
				stored[e.offset-list[0].offset:][:e.length],
				c.head.compression, i, c.rec.Offset)
			if err != nil {
				return err
			}
			if subroots != nil {
				if got := capsule.Subroot(content); got != subroots[i] {
					return damaged(ErrContentMismatch, blockPart(i),
						c.rec.Offset+e.offset,
						"subroot %s, expected %s", got, subroots[i])
				}
			}
			if err := yield(i, content); err != nil {
				return err
			}
		}
		first = end + 1
	}
	return nil
}

type blockBuffer struct {
	stored  [maxRun * blockSize]byte
	content [blockSize]byte
}

var blockBuffers = sync.Pool{New: func() any { return new(blockBuffer) }}

// ReadAt implements io.ReaderAt. It reads and checks whole blocks.
func (c *Capsule) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, &fs.PathError{Op: "read", Path: c.rec.Hash.String(), Err: fs.ErrInvalid}
	}
	want := len(p)
	if off >= c.Size() {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), c.Size()-off)]
	if len(p) == 0 {
		return 0, nil
	}
	n := 0
	err := c.blocks(int(off/blockSize), int((off+int64(len(p))-1)/blockSize),
		func(i int, content []byte) error {
			from := max(0, off+int64(n)-int64(i)*blockSize)
			n += copy(p[n:], content[from:])
			return nil
		})
	if err == nil && n < want {
		err = io.EOF
	}
	return n, err
}

// Read implements io.Reader. It is for one goroutine, as Seek and WriteTo are.
func (c *Capsule) Read(p []byte) (int, error) { return c.stream.read(p, c.Size(), c.ReadAt) }

// Seek implements io.Seeker.
func (c *Capsule) Seek(off int64, whence int) (int64, error) {
	return c.stream.seek(off, whence, c.Size())
}

// WriteTo implements io.WriterTo.
func (c *Capsule) WriteTo(w io.Writer) (int64, error) {
	start := c.stream.pos
	err := c.writeFrom(start, func(b []byte) error {
		n, err := w.Write(b)
		c.stream.pos += int64(n)
		return err
	})
	return c.stream.pos - start, err
}

// writeFrom calls write with the content from offset start on, by blocks.
func (c *Capsule) writeFrom(start int64, write func([]byte) error) error {
	if start >= c.Size() {
		return nil
	}
	first := int(start / blockSize)
	return c.blocks(first, blocksOf(c.rec.Size)-1, func(i int, content []byte) error {
		return write(content[max(0, start-int64(i)*blockSize):])
	})
}

// An extentChecker verifies whole extents in place. It is for one goroutine,
// which calls release in the end.
type extentChecker struct {
	src  io.ReaderAt
	size int64 // no extent passes it
	buf  *blockBuffer
	sha  hash.Hash
}

func newExtentChecker(src io.ReaderAt, size int64) *extentChecker {
	return &extentChecker{src: src, size: size, buf: blockBuffers.Get().(*blockBuffer),
		sha: sha256.New()}
}

func (c *extentChecker) release() { blockBuffers.Put(c.buf) }

// check verifies all bytes of the extent at r.Offset: its header, block table,
// padding, blocks and content. Damaged blocks are passed to block, when it is
// not nil, and the check continues after them; the first of them is the error.
// It returns the header and the subroots.
func (c *extentChecker) check(ctx context.Context, r *Record, chunkRoot merkle.Hash,
	block func(i int, err error)) (
	*extentHeader, []merkle.Hash, error) {
	page := c.buf.content[:pageSize]
	if r.Offset > c.size-pageSize {
		return nil, nil, damaged(ErrExtent, "extent header", r.Offset, "passes the end at %d",
			c.size)
	}
	if err := readFull(c.src, page, r.Offset); err != nil {
		return nil, nil, err
	}
	h, err := parseExtentHeader(page, r.Offset)
	if err != nil {
		return nil, nil, err
	}
	if err := h.belongsTo(r); err != nil {
		return nil, nil, err
	}
	if h.chunkRoot != chunkRoot {
		return nil, nil, damaged(ErrExtent, "extent header", r.Offset+0x60,
			"chunk root %s, expected %s", h.chunkRoot, chunkRoot)
	}
	if h.stored > c.size-r.Offset {
		return nil, nil, damaged(ErrExtent, "extent header", r.Offset+0x58,
			"%d bytes pass the end at %d", h.stored, c.size)
	}
	table, err := readBlockTable(c.src, h, r.Offset)
	if err != nil {
		return nil, nil, err
	}
	tableEnd := int64(extentHeaderSize + len(table)*blockEntrySize)
	if err := c.zero(r.Offset+tableEnd, firstBlock(h.size)-tableEnd); err != nil {
		return nil, nil, err
	}
	if err := c.zero(r.Offset+h.stored, align(h.stored)-h.stored); err != nil {
		return nil, nil, err
	}
	subroots, err := c.content(ctx, h, r, table, block)
	return h, subroots, err
}

// zero checks that n bytes at offset at, less than a page, are zero.
func (c *extentChecker) zero(at, n int64) error {
	b := c.buf.content[:n]
	if err := readFull(c.src, b, at); err != nil {
		return err
	}
	if !isZero(b) {
		return damaged(ErrExtent, "extent padding", at, "is not zero")
	}
	return nil
}

func (c *extentChecker) content(ctx context.Context, h *extentHeader, r *Record, table []blockEntry,
	block func(int, error)) (
	[]merkle.Hash, error) {
	c.sha.Reset()
	subroots := make([]merkle.Hash, 0, subrootsOf(h.size))
	var first error
	for at := 0; at < len(table); {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		end := min(len(table), at+maxRun)
		base := table[at].offset
		stored := c.buf.stored[:table[end-1].offset+int64(table[end-1].length)-base]
		if err := readFull(c.src, stored, r.Offset+base); err != nil {
			return nil, err
		}
		for ; at < end; at++ {
			e := &table[at]
			content, err := e.open(c.buf.content[:blockLength(h.size, at)],
				stored[e.offset-base:][:e.length], h.compression, at, r.Offset)
			if err != nil {
				if first == nil {
					first = err
				}
				if block == nil {
					return nil, err
				}
				block(at, err)
				continue
			}
			c.sha.Write(content)
			subroots = append(subroots, capsule.Subroot(content))
		}
	}
	if first != nil {
		return nil, first
	}
	if h.size == 0 {
		subroots = append(subroots, capsule.Subroot(nil))
	}
	if got := merkle.Hash(c.sha.Sum(nil)); got != h.hash {
		return subroots, damaged(ErrContentMismatch, "content of "+h.hash.String(), r.Offset,
			"hash %s", got)
	}
	if got := merkle.Root(subroots); got != h.chunkRoot {
		return subroots, damaged(ErrContentMismatch, "content of "+h.hash.String(), r.Offset,
			"chunk root %s, expected %s", got, h.chunkRoot)
	}
	return subroots, nil
}
