package capsule

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"

	"github.com/dig-network/digstore/merkle"
)

// Hasher computes the descriptor of one capsule from its content, written in order. It holds one
// block and 32 bytes for each block before it. It is for one goroutine; the zero value is not
// usable.
type Hasher struct {
	whole    hash.Hash
	size     uint64
	block    []byte // the bytes of the block that is not complete
	subroots []merkle.Hash
}

// NewHasher returns a Hasher of a capsule of which nothing is written yet.
func NewHasher() *Hasher { return &Hasher{whole: sha256.New()} }

// Write adds content. It fails with ErrCapsuleTooLarge when the capsule would exceed MaxSize,
// and then adds nothing.
func (h *Hasher) Write(p []byte) (int, error) {
	if h.size+uint64(len(p)) > MaxSize {
		return 0, fmt.Errorf("hash capsule of at least %d bytes: %w: at most %d bytes",
			h.size+uint64(len(p)), ErrCapsuleTooLarge, uint32(MaxSize))
	}
	n := len(p)
	h.whole.Write(p)
	h.size += uint64(n)
	for len(p) > 0 {
		if len(h.block) == 0 && len(p) >= BlockSize {
			h.subroots = append(h.subroots, Subroot(p[:BlockSize]))
			p = p[BlockSize:]
			continue
		}
		take := min(len(p), BlockSize-len(h.block))
		h.block = append(h.block, p[:take]...)
		p = p[take:]
		if len(h.block) == BlockSize {
			h.subroots = append(h.subroots, Subroot(h.block))
			h.block = h.block[:0]
		}
	}
	return n, nil
}

// Subroots returns the subroots of what was written: one for each block, the last of which may
// be short.
func (h *Hasher) Subroots() []merkle.Hash {
	out := append([]merkle.Hash(nil), h.subroots...)
	if len(h.block) > 0 || len(out) == 0 {
		out = append(out, Subroot(h.block))
	}
	return out
}

// Descriptor returns the descriptor of what was written, at the given index. More may be written
// afterwards.
func (h *Hasher) Descriptor(index uint32) Descriptor {
	d := Descriptor{Index: index, Size: uint32(h.size), ChunkRoot: merkle.Root(h.Subroots())}
	h.whole.Sum(d.Hash[:0])
	return d
}

// Describe reads a capsule to its end and returns its descriptor at the given index.
func Describe(index uint32, r io.Reader) (Descriptor, error) {
	h := NewHasher()
	if _, err := io.CopyBuffer(onlyWriter{h}, onlyReader{r}, make([]byte, BlockSize)); err != nil {
		return Descriptor{}, fmt.Errorf("describe capsule %d: %w", index, err)
	}
	return h.Descriptor(index), nil
}

// onlyWriter and onlyReader hide other methods, so that io.CopyBuffer uses its buffer.
type onlyWriter struct{ io.Writer }
type onlyReader struct{ io.Reader }

// Matches returns nil when got is the descriptor that d asks for: equal size and hash, and equal
// chunk root where d has one. The index is not compared. The error wraps ErrContentMismatch.
func (d Descriptor) Matches(got Descriptor) error {
	switch {
	case got.Size != d.Size:
		return fmt.Errorf("%w: capsule %d: found %d bytes, expected %d", ErrContentMismatch,
			d.Index, got.Size, d.Size)
	case got.Hash != d.Hash:
		return fmt.Errorf("%w: capsule %d: found hash %v, expected %v", ErrContentMismatch, d.Index,
			got.Hash, d.Hash)
	case !d.ChunkRoot.IsZero() && got.ChunkRoot != d.ChunkRoot:
		return fmt.Errorf("%w: capsule %d: found chunk root %v, expected %v", ErrContentMismatch,
			d.Index, got.ChunkRoot, d.ChunkRoot)
	}
	return nil
}
