package pack

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"

	"github.com/dig-network/digstore/digstore/internal/damage"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// probeAbove is a length of a chunk in bytes. For a longer chunk, ReadFrame reads the last byte of
// the frame before it allocates memory, because the length in the index may be wrong.
const probeAbove = 64 << 20

// ReadFrame reads the frame of a chunk and hashes the chunk. A wrong length, a wrong hash and an
// unreadable frame are module.ErrDamaged; a missing file is fs.ErrNotExist. name is the name of the
// file, for errors. ReadFrame returns the sealed chunk, in buf if buf is large enough.
func ReadFrame(name string, r io.ReaderAt, e Entry, buf []byte) ([]byte, error) {
	if uint64(e.Len)+4 > math.MaxInt {
		return nil, damage.In(name, "chunk %s has %d bytes", e.ID, e.Len)
	}
	size := int(e.Len) + 4
	if cap(buf) < size {
		if e.Len > probeAbove {
			var last [1]byte
			if n, err := r.ReadAt(last[:], e.Offset+3+int64(e.Len)); n < 1 {
				return nil, unreadable(name, e, err)
			}
		}
		buf = make([]byte, size)
	}
	buf = buf[:size]
	if n, err := r.ReadAt(buf, e.Offset); n < size {
		return nil, unreadable(name, e, err)
	}
	if binary.BigEndian.Uint32(buf) != e.Len {
		return nil, damage.In(name, "the frame of chunk %s at byte %d has another length than %d",
			e.ID, e.Offset, e.Len)
	}
	sealed := buf[4:]
	if got := merkle.Sum(sealed); got != e.ID {
		return nil, damage.In(name, "the chunk at byte %d has hash %s, want %s", e.Offset, got, e.ID)
	}
	return sealed, nil
}

// unreadable returns the error of a frame that could not be read because of err.
func unreadable(name string, e Entry, err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, module.ErrDamaged) {
		return err
	}
	return fmt.Errorf("%w: %w",
		damage.In(name, "chunk %s at byte %d cannot be read", e.ID, e.Offset), err)
}

// ReadUnfinished reads the frames of an unfinished pack of size bytes from r and hashes them. want
// returns the length of an expected chunk, and false for any other id. Reading stops at the first
// frame that is incomplete or not expected, and end is its offset. The only errors are those of r.
func ReadUnfinished(r io.Reader, size int64, want func(id merkle.Hash) (n uint32, ok bool)) (
	entries []Entry, end int64, err error) {
	b := bufio.NewReaderSize(r, 256<<10)
	var head [len(Magic)]byte
	if _, err := io.ReadFull(b, head[:]); err != nil || string(head[:]) != Magic {
		return nil, 0, ignoreEnd(err)
	}
	end = int64(len(Magic))
	for buf := []byte(nil); ; {
		if _, err := io.ReadFull(b, head[:4]); err != nil {
			return entries, end, ignoreEnd(err)
		}
		n := binary.BigEndian.Uint32(head[:])
		if int64(n) > size-end {
			return entries, end, nil
		}
		if uint32(cap(buf)) < n {
			buf = make([]byte, n)
		}
		buf = buf[:n]
		if _, err := io.ReadFull(b, buf); err != nil {
			return entries, end, ignoreEnd(err)
		}
		id := merkle.Sum(buf)
		if expected, ok := want(id); !ok || expected != n {
			return entries, end, nil
		}
		entries = append(entries, Entry{id, end, n})
		end += 4 + int64(n)
	}
}

// ignoreEnd returns nil for the errors at the end of a torn file, and err otherwise.
func ignoreEnd(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil
	}
	return err
}
