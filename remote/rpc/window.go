package rpc

import "github.com/dig-network/digstore/merkle"

// Windows begin and end at multiples of 64 KiB, except at the end of the whole (remote/PROTOCOL.md
// 10.3).
const (
	Block     = 64 << 10   // bytes; windows begin at its multiples
	MaxWindow = 48 * Block // bytes of the longest window: 3 MiB
)

// A Window is a part of a sealed resource, or of a module: the chunk object of remote/PROTOCOL.md
// 10.3.
type Window struct {
	Ciphertext     []byte      `json:"ciphertext"`      // raw bytes if it is of a module
	TotalLength    int64       `json:"total_length"`    // of the whole
	Offset         int64       `json:"offset"`          // at or before the requested one
	Length         int64       `json:"length"`          // of Ciphertext
	Complete       bool        `json:"complete"`        // the window ends at the end of the whole
	NextOffset     *int64      `json:"next_offset"`     // nil when complete
	InclusionProof []byte      `json:"inclusion_proof"` // of the whole resource, encoded; empty for a module
	ChunkLens      []uint32    `json:"chunk_lens,omitempty"`
	Root           merkle.Hash `json:"root"`
	ProgramHash    merkle.Hash `json:"program_hash"` // SHA-256 of the module
}

// A Manifest is a [Window] of the manifest resource of a store, [ManifestName].
type Manifest struct {
	Window
	RetrievalKey merkle.Hash `json:"retrieval_key"`
}

// ManifestName is the name of the manifest resource of a store.
const ManifestName = ".well-known/dig/manifest.json"
