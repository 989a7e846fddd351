package plot

import (
	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
)

// An Anchor is the block that a plot was made after. The zero Anchor stands
// for none.
type Anchor struct {
	Network uint32      // 0 none, 1 Chia mainnet, 2 a test network
	Height  uint64      // of the block
	Block   merkle.Hash // its header hash
}

const maxNetwork = 2

// identityOf returns the values that the id of a plot commits to.
func identityOf(key auth.NodePublicKey, root merkle.Hash, difficulty int,
	a Anchor) capsule.PlotIdentity {
	return capsule.PlotIdentity{
		PublicKey: key, Root: root, Difficulty: uint32(difficulty), BlockHeight: a.Height,
		BlockHash: a.Block,
	}
}

// A folder folds leaves into the root of their tree without keeping them. An
// odd last node of a level moves up unchanged.
type folder struct {
	stack []merkle.Hash // roots of full subtrees, the largest first
	n     uint64        // number of leaves
}

func (f *folder) add(leaf merkle.Hash) {
	for k := f.n; k&1 == 1; k >>= 1 {
		last := len(f.stack) - 1
		leaf = merkle.Node(f.stack[last], leaf)
		f.stack = f.stack[:last]
	}
	f.stack = append(f.stack, leaf)
	f.n++
}

// root returns the root over the leaves so far. There must be at least one.
func (f *folder) root() merkle.Hash {
	last := len(f.stack) - 1
	h := f.stack[last]
	for i := last - 1; i >= 0; i-- {
		h = merkle.Node(f.stack[i], h)
	}
	return h
}

func (f *folder) reset() { f.stack, f.n = f.stack[:0], 0 }
