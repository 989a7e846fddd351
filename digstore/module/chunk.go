package module

import (
	"io"
	"reflect"

	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/merkle"
)

// MaxChunk is the longest chunk that Decompose gives, in sealed bytes. Chunks
// that the default chunking makes are at most 256 KiB + 16 bytes.
const MaxChunk = 4 << 20

// A Chunk names one sealed chunk.
type Chunk struct {
	ID  merkle.Hash // SHA-256 of the sealed bytes, tag included
	Len uint32      // number of sealed bytes
}

// An Entry is one resource of a generation.
type Entry struct {
	Key    merkle.Hash // retrieval key
	Leaf   merkle.Hash // SHA-256 of all its sealed bytes; the chunk's id where there is one chunk
	Chunks []Chunk     // in order; a chunk may come more than once
}

// SealedSize returns the number of bytes that a server sends for the resource.
func (e *Entry) SealedSize() int64 {
	var n int64
	for _, c := range e.Chunks {
		n += int64(c.Len)
	}
	return n
}

// Size returns the number of bytes of its plaintext. It means nothing for
// chunks that are too short to be sealed.
func (e *Entry) Size() int64 { return e.SealedSize() - urn.Overhead*int64(len(e.Chunks)) }

// A ChunkSource finds the bodies that a Recipe does not have. It must be safe
// for concurrent use.
type ChunkSource interface {
	// Chunk returns a reader and the offset in it at which the frame of the
	// chunk begins: its length as a big-endian u32, then its sealed bytes.
	// Chunks whose frames follow each other in the same reader are read as one
	// stretch, so readers are compared with == and should be pointers. A chunk
	// that is not there is fs.ErrNotExist. A reader whose bytes have moved
	// since fails with fs.ErrNotExist too; then Chunk is called again.
	Chunk(c Chunk) (r io.ReaderAt, off int64, err error)
}

// sameReader is a == b for readers that need not be comparable.
func sameReader(a, b io.ReaderAt) bool {
	return reflect.TypeOf(a) == reflect.TypeOf(b) && reflect.ValueOf(a).Comparable() && a == b
}
