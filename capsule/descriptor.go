package capsule

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// Sizes, in bytes of capsule content.
const (
	// DefaultSize is the size of the capsules that Split cuts, but for the last one: 16 MiB.
	DefaultSize = 16 << 20
	// MaxSize is the size of the largest capsule: 4 GiB - 1.
	MaxSize = 1<<32 - 1
	// ChunkSize is the size of a leaf of the chunk tree and of an access sample.
	ChunkSize = 4096
	// BlockSize is the unit that plots compress and verify: the chunks below one subroot.
	BlockSize = ChunkSize * chunksPerBlock

	chunksPerBlock = 32
)

// Tags of the hashes that name capsules.
const (
	leafTag     = "dig:capsule:leaf:v1"
	plotLeafTag = "dig:plot:leaf:v1"
)

// Ref names a capsule by its place: the datastore, the capsule root of one generation, and the
// index within that generation, from 0. A zero Root means the current head. The capsule root is
// the root over capsule leaves; it is not the generation root of a module.
type Ref struct {
	Store auth.StoreID
	Root  merkle.Hash
	Index uint32
}

// String returns "store:root:index", with "head" for a zero root.
func (r Ref) String() string {
	if r.Root.IsZero() {
		return fmt.Sprintf("%v:head:%d", r.Store, r.Index)
	}
	return fmt.Sprintf("%v:%v:%d", r.Store, r.Root, r.Index)
}

// Descriptor describes the content of one capsule. The zero ChunkRoot means that it is not
// known, as in a manifest without chunk roots: such a descriptor checks whole capsules but
// neither ranges nor proofs.
type Descriptor struct {
	Index     uint32      // place in its generation, from 0
	Size      uint32      // bytes of content
	Hash      merkle.Hash // SHA-256 of the content
	ChunkRoot merkle.Hash // root of the chunk tree
}

// Leaf returns the leaf of the capsule in the tree of its datastore:
//
//	SHA-256("dig:capsule:leaf:v1" || u32 index || u32 size || hash || chunk root)
func (d Descriptor) Leaf() merkle.Hash {
	b := make([]byte, 0, len(leafTag)+8+2*len(d.Hash))
	b = append(b, leafTag...)
	return sha256.Sum256(d.append(b))
}

// PlotLeaf returns the leaf of the capsule in the tree of a plot:
//
//	SHA-256("dig:plot:leaf:v1" || store || u32 index || u32 size || hash || chunk root)
func (d Descriptor) PlotLeaf(store auth.StoreID) merkle.Hash {
	b := make([]byte, 0, len(plotLeafTag)+len(store)+8+2*len(d.Hash))
	b = append(b, plotLeafTag...)
	b = append(b, store[:]...)
	return sha256.Sum256(d.append(b))
}

func (d Descriptor) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, d.Index)
	b = binary.BigEndian.AppendUint32(b, d.Size)
	b = append(b, d.Hash[:]...)
	return append(b, d.ChunkRoot[:]...)
}

// Chunks returns the number of leaves of the chunk tree. An empty capsule has one empty chunk.
func (d Descriptor) Chunks() uint32 { return ChunkCount(d.Size) }

// ChunkCount returns the number of chunks of a capsule of size bytes: at least 1.
func ChunkCount(size uint32) uint32 {
	return max(1, uint32((uint64(size)+ChunkSize-1)/ChunkSize))
}

// BlockCount returns the number of blocks of a capsule of size bytes: 0 when it is empty.
func BlockCount(size uint32) uint32 {
	return uint32((uint64(size) + BlockSize - 1) / BlockSize)
}

// SubrootCount returns the number of subroots of a capsule of size bytes: that of its blocks, at
// least 1.
func SubrootCount(size uint32) uint32 { return max(1, BlockCount(size)) }

// chunkLen returns the length of chunk i of a capsule of size bytes.
func chunkLen(size, i uint32) int {
	return int(min(ChunkSize, uint64(size)-min(uint64(size), uint64(i)*ChunkSize)))
}

// Subroot returns the root over the chunk leaves of one block of content, of at most BlockSize
// bytes. Folding the subroots of all blocks with merkle.Root gives the chunk root. An empty
// block has one empty chunk.
func Subroot(block []byte) merkle.Hash {
	var leaves [chunksPerBlock]merkle.Hash
	return merkle.Root(appendChunkLeaves(leaves[:0], block))
}

// appendChunkLeaves appends the chunk leaves of content that starts at a chunk.
func appendChunkLeaves(leaves []merkle.Hash, content []byte) []merkle.Hash {
	for {
		n := min(ChunkSize, len(content))
		leaves = append(leaves, merkle.Leaf(content[:n]))
		if content = content[n:]; len(content) == 0 {
			return leaves
		}
	}
}
