package capsule

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/codec"
	"github.com/dig-network/digstore/merkle"
)

const (
	ownershipTag = "dig:ownership:v1"

	workAlgo = 1
)

// OwnershipProof shows that the holder of a plot's key was asked: its signature covers the plot
// id, what the id is made of, and the challenge.
type OwnershipProof struct {
	Plot      PlotIdentity
	Signature auth.NodeSignature
}

// message returns what is signed: SHA-256("dig:ownership:v1" || plot id || public key || plot
// root || u32 difficulty || u64 block height || block hash || challenge digest).
func (p *OwnershipProof) message(digest merkle.Hash) merkle.Hash {
	id := p.Plot.ID()
	b := append(make([]byte, 0, 256), ownershipTag...)
	b = append(b, id[:]...)
	b = append(b, p.Plot.PublicKey[:]...)
	b = append(b, p.Plot.Root[:]...)
	b = binary.BigEndian.AppendUint32(b, p.Plot.Difficulty)
	b = binary.BigEndian.AppendUint64(b, p.Plot.BlockHeight)
	b = append(b, p.Plot.BlockHash[:]...)
	return sha256.Sum256(append(b, digest[:]...))
}

// encode appends 172 bytes: public key (32) || plot root (32) || u32 difficulty || u64 block
// height || block hash (32) || signature (64).
func (p *OwnershipProof) encode(w *codec.Writer) {
	w.Fixed(p.Plot.PublicKey[:])
	w.Fixed(p.Plot.Root[:])
	w.U32(p.Plot.Difficulty)
	w.U64(p.Plot.BlockHeight)
	w.Fixed(p.Plot.BlockHash[:])
	w.Fixed(p.Signature[:])
}

func (p *OwnershipProof) decode(r *codec.Reader) {
	r.Fixed(p.Plot.PublicKey[:])
	r.Fixed(p.Plot.Root[:])
	p.Plot.Difficulty = r.U32()
	p.Plot.BlockHeight = r.U64()
	r.Fixed(p.Plot.BlockHash[:])
	r.Fixed(p.Signature[:])
}

// InclusionProof shows that a capsule is in a generation of a datastore and in a plot.
type InclusionProof struct {
	Ref       Ref // the datastore, its capsule root and the index
	Size      uint32
	ChunkRoot merkle.Hash
	Capsules  uint32 // of the generation
	LeafIndex uint32 // of the plot
	LeafCount uint32
	Path      []merkle.Hash // from the capsule leaf to Ref.Root
	PlotPath  []merkle.Hash // from the plot leaf to the plot root
}

// encode appends: datastore id (32) || u32 index || u32 size || chunk root (32) || datastore
// root (32) || u32 capsules of the datastore || u32 plot leaf index || u32 plot leaf count || u8
// n || n siblings || u8 n || n siblings.
func (p *InclusionProof) encode(w *codec.Writer) {
	w.Fixed(p.Ref.Store[:])
	w.U32(p.Ref.Index)
	w.U32(p.Size)
	w.Fixed(p.ChunkRoot[:])
	w.Fixed(p.Ref.Root[:])
	w.U32(p.Capsules)
	w.U32(p.LeafIndex)
	w.U32(p.LeafCount)
	writePath(w, p.Path)
	writePath(w, p.PlotPath)
}

func (p *InclusionProof) decode(r *codec.Reader) {
	r.Fixed(p.Ref.Store[:])
	p.Ref.Index = r.U32()
	p.Size = r.U32()
	r.Fixed(p.ChunkRoot[:])
	r.Fixed(p.Ref.Root[:])
	p.Capsules = r.U32()
	p.LeafIndex = r.U32()
	p.LeafCount = r.U32()
	p.Path = readPath(r)
	p.PlotPath = readPath(r)
}

// descriptor returns the capsule that the proof is about.
func (p *InclusionProof) descriptor(hash merkle.Hash) Descriptor {
	return Descriptor{Index: p.Ref.Index, Size: p.Size, Hash: hash, ChunkRoot: p.ChunkRoot}
}

// WorkProof shows that about 2^Bits hashes were computed for the challenge. It does not show
// storage.
type WorkProof struct {
	Bits          uint8 // asked for
	Achieved      uint8 // leading zero bits of the work hash
	Nonce         uint64
	TableDataHash merkle.Hash // the chunk root
	PreviousHash  merkle.Hash // the challenge digest
	PlotSeed      merkle.Hash
}

// encode appends 108 bytes: u8 algorithm = 1 || u8 bits || u8 achieved || u8 0 || u64 nonce ||
// table data hash (32) || previous hash (32) || plot seed (32).
func (p *WorkProof) encode(w *codec.Writer) {
	w.U8(workAlgo)
	w.U8(p.Bits)
	w.U8(p.Achieved)
	w.U8(0)
	w.U64(p.Nonce)
	w.Fixed(p.TableDataHash[:])
	w.Fixed(p.PreviousHash[:])
	w.Fixed(p.PlotSeed[:])
}

func (p *WorkProof) decode(r *codec.Reader) {
	if algo := r.U8(); algo != workAlgo {
		r.Fail(fmt.Errorf("%w: work algorithm %d, expected %d", codec.ErrValue, algo, workAlgo))
	}
	p.Bits = r.U8()
	p.Achieved = r.U8()
	if zero := r.U8(); zero != 0 {
		r.Fail(fmt.Errorf("%w: work proof byte 3 is %d, expected 0", codec.ErrValue, zero))
	}
	p.Nonce = r.U64()
	r.Fixed(p.TableDataHash[:])
	r.Fixed(p.PreviousHash[:])
	r.Fixed(p.PlotSeed[:])
}

func (p *WorkProof) input(hash merkle.Hash) WorkInput {
	return WorkInput{TableDataHash: p.TableDataHash, PreviousHash: p.PreviousHash,
		PlotSeed: p.PlotSeed, CapsuleHash: hash}
}
