package module

import (
	"io"
	"reflect"

	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/merkle"
)

// MaxChunk is the length of the longest chunk that Decompose returns, in sealed
// bytes. Chunks of the default chunking have at most 256 KiB + 16 bytes.
const MaxChunk = 4 << 20

// A Chunk names one sealed chunk.
type Chunk struct {
	ID  merkle.Hash // SHA-256 of the sealed bytes, tag included
	Len uint32      // number of sealed bytes
}

// An Entry is one resource of a generation.
type Entry struct {
	Key    merkle.Hash // retrieval key
	Leaf   merkle.Hash // SHA-256 of all sealed bytes; the id of the chunk if there is one
	Chunks []Chunk     // in order; a chunk may repeat
}

// SealedSize returns the number of sealed bytes.
func (e *Entry) SealedSize() int64 {
	var n int64
	for _, c := range e.Chunks {
		n += int64(c.Len)
	}
	return n
}

// Size returns the number of plaintext bytes. It is wrong for chunks of less than
// 16 bytes, which do not open.
func (e *Entry) Size() int64 { return e.SealedSize() - urn.Overhead*int64(len(e.Chunks)) }

// A ChunkSource finds the bodies of chunks. It must be safe for concurrent use.
type ChunkSource interface {
	// Chunk returns a reader and the offset of the frame of the chunk in it: the
	// length as a big-endian u32, then the sealed bytes. Frames that follow each
	// other in one reader are read together, so readers are compared with == and
	// should be pointers. A missing chunk is fs.ErrNotExist. A reader whose bytes
	// have moved since fails with fs.ErrNotExist too; Chunk is then called again.
	Chunk(c Chunk) (r io.ReaderAt, off int64, err error)
}

// sameReader is a == b; false for readers that are not comparable.
func sameReader(a, b io.ReaderAt) bool {
	return reflect.TypeOf(a) == reflect.TypeOf(b) && reflect.ValueOf(a).Comparable() && a == b
}
