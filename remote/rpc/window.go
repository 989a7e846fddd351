package rpc

import (
	"github.com/dig-network/digstore/merkle"
)

// What is long is read in windows, which begin and end at blocks of 64 KiB, except at the end of all
// (remote/PROTOCOL.md 10.3).
const (
	Block     = 64 << 10   // bytes; windows begin at its multiples
	MaxWindow = 48 * Block // bytes of the longest window: 3 MiB
)

// A Window is a piece of a resource, sealed, or of a module: the chunk object of remote/PROTOCOL.md 10.3.
type Window struct {
	Ciphertext     []byte      `json:"ciphertext"`      // raw bytes, for a module
	TotalLength    int64       `json:"total_length"`    // of the whole
	Offset         int64       `json:"offset"`          // where this window begins, at or before what was asked for
	Length         int64       `json:"length"`          // of Ciphertext
	Complete       bool        `json:"complete"`        // nothing follows
	NextOffset     *int64      `json:"next_offset"`     // nil when complete
	InclusionProof []byte      `json:"inclusion_proof"` // of the whole resource, encoded; empty for a module
	ChunkLens      []uint32    `json:"chunk_lens,omitempty"`
	Root           merkle.Hash `json:"root"`
	ProgramHash    merkle.Hash `json:"program_hash"` // SHA-256 of the module

	from *source // of Ciphertext, in an answer of the Handler
}

// A Manifest is a [Window] of the resource that a store describes itself with, .well-known/dig/manifest.json.
type Manifest struct {
	Window
	RetrievalKey merkle.Hash `json:"retrieval_key"`
}

// span is where the window for a request begins and ends. length is nil when the request does not say one.
func span(total int64, offset uint64, length *uint64) (start, end int64) {
	if offset >= uint64(total) {
		return total, total
	}
	size := uint64(MaxWindow)
	if length != nil {
		size = min(max(*length, 1), MaxWindow)
	}
	start = int64(offset) / Block * Block
	return start, min(total, start+int64((size+Block-1)/Block*Block))
}

// cut makes the window of a request, without its bytes.
func cut(total int64, offset uint64, length *uint64) *Window {
	start, end := span(total, offset, length)
	w := &Window{TotalLength: total, Offset: start, Length: end - start, Complete: end >= total, InclusionProof: []byte{}}
	if !w.Complete {
		w.NextOffset = &end
	}
	return w
}
