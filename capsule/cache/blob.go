package cache

import (
	"bytes"
	"io"

	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// Blob is the verified content of one capsule. It never changes, also when the capsule has left
// the cache. It may be read concurrently. The caller that gets it closes it. A Blob of a capsule
// that is still being read, from a source that gives VerifiedReaders, waits for the bytes: its
// reads end with the context that it was got with, and with the error of the source.
type Blob struct {
	hash merkle.Hash
	size int64
	at   io.ReaderAt
	file diskfs.File // nil when the content is in memory
}

func memoryBlob(hash merkle.Hash, content []byte) *Blob {
	return &Blob{hash: hash, size: int64(len(content)), at: bytes.NewReader(content)}
}

// ReadAt implements io.ReaderAt.
func (b *Blob) ReadAt(p []byte, off int64) (int, error) { return b.at.ReadAt(p, off) }

// Size returns the number of bytes.
func (b *Blob) Size() int64 { return b.size }

// Hash returns the SHA-256 of the content.
func (b *Blob) Hash() merkle.Hash { return b.hash }

// Reader returns a new reader of the whole, which is used by one goroutine.
func (b *Blob) Reader() *io.SectionReader { return io.NewSectionReader(b.at, 0, b.size) }

// wait waits until the whole content is there.
func (b *Blob) wait() error {
	f, ok := b.at.(*filling)
	if !ok {
		return nil
	}
	_, err := f.wait(b.size)
	return err
}

// Close ends the use of b.
func (b *Blob) Close() error {
	if b.file == nil {
		return nil
	}
	return b.file.Close()
}

// blobReader is what Open returns: a reader that closes its blob.
type blobReader struct {
	*io.SectionReader
	blob *Blob
}

func (r blobReader) Close() error { return r.blob.Close() }
