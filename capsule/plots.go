package capsule

import (
	"context"
	"crypto/sha256"
	"encoding/binary"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// MaxDifficulty is the largest number of leading zero bits that a plot may ask of its table hashes.
const MaxDifficulty = 40

// PlotIdentity has the values that a plot id commits to. Difficulty and the anchor block are
// chosen by the maker of the plot: see VerifyOptions.PlotSince.
type PlotIdentity struct {
	PublicKey   auth.NodePublicKey
	Root        merkle.Hash // root over the plot leaves in record order
	Difficulty  uint32      // leading zero bits of the table hashes, at most MaxDifficulty
	BlockHeight uint64      // of the anchor block; 0 without an anchor
	BlockHash   merkle.Hash // of the anchor block; zero without an anchor
}

// ID returns the plot id:
//
//	SHA-256(public key || plot root || u32 difficulty || u64 block height || block hash)
func (p PlotIdentity) ID() merkle.Hash {
	b := append(append(make([]byte, 0, 108), p.PublicKey[:]...), p.Root[:]...)
	b = binary.BigEndian.AppendUint32(b, p.Difficulty)
	b = binary.BigEndian.AppendUint64(b, p.BlockHeight)
	return sha256.Sum256(append(b, p.BlockHash[:]...))
}

// Seed returns the plot seed, which work is bound to:
//
//	SHA-256(public key || plot root || u64 block height || block hash)
func (p PlotIdentity) Seed() merkle.Hash {
	b := append(append(make([]byte, 0, 104), p.PublicKey[:]...), p.Root[:]...)
	b = binary.BigEndian.AppendUint64(b, p.BlockHeight)
	return sha256.Sum256(append(b, p.BlockHash[:]...))
}

// PlotRecord is one capsule of a plot with its place in the tree of its datastore and in that of
// the plot. Paths are siblings from the leaf up, without sides: index and count give the shape.
type PlotRecord struct {
	Plot       PlotIdentity
	Ref        Ref           // Root is the capsule root of the generation in the plot
	Descriptor Descriptor    // with its chunk root
	Capsules   uint32        // of the generation
	Path       []merkle.Hash // from the capsule leaf to Ref.Root
	LeafIndex  uint32        // place among the records of the plot
	LeafCount  uint32        // number of records of the plot
	PlotPath   []merkle.Hash // from the plot leaf to Plot.Root
}

// Plotted is a capsule in an open plot. Implementations are safe for concurrent use.
type Plotted interface {
	// Record returns the record. It does not block, and the caller must not change the paths.
	Record() PlotRecord
	// Subroots returns the subroots of all blocks, which fold to the chunk root.
	Subroots(ctx context.Context) ([]merkle.Hash, error)
	// ReadBlock returns the content of block i, from 0, in dst when its capacity suffices.
	ReadBlock(ctx context.Context, i uint32, dst []byte) ([]byte, error)
	// Close ends the use of the capsule.
	Close() error
}

// Plots finds capsules in plots. Implementations are safe for concurrent use.
type Plots interface {
	// Find returns a capsule with this hash in the plot of this id, or in any plot when the id
	// is zero. The caller closes it. Absence is fs.ErrNotExist.
	Find(ctx context.Context, hash, plotID merkle.Hash) (Plotted, error)
}
