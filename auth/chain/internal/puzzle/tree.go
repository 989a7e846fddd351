package puzzle

import (
	"math/big"

	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/merkle"
)

// Root returns the root of the tree of delegates. It splits the list after the larger half, and
// hashes pairs. The root of an empty list is zero.
func Root(leaves []merkle.Hash) merkle.Hash {
	switch n := len(leaves); n {
	case 0:
		return merkle.Hash{}
	case 1:
		return clvm.HashAtom(leaves[0][:])
	default:
		half := (n + 1) / 2
		return clvm.HashPair(Root(leaves[:half]), Root(leaves[half:]))
	}
}

// Prove returns the proof that a leaf is in the tree: (path . hashes). The hashes are those beside
// the way from the leaf up. Bit i of path is 1 if the leaf is on the right at step i. It returns
// the empty atom if the leaf is not in the list. Of equal leaves, the last one is proved.
func Prove(leaves []merkle.Hash, leaf merkle.Hash) *clvm.Node {
	at := -1
	for i, l := range leaves {
		if l == leaf {
			at = i
		}
	}
	if at < 0 {
		return clvm.Nil()
	}
	path := new(big.Int)
	hashes := beside(leaves, at, path)
	// A positive number of n bits needs n/8+1 bytes, because the highest bit is the sign.
	var atom []byte
	if n := path.BitLen(); n > 0 {
		atom = path.FillBytes(make([]byte, n/8+1))
	}
	return clvm.Pair(clvm.Atom(atom), clvm.List(hashes...))
}

// beside returns the hashes beside the way from leaf at to the root, the lowest first, and sets
// the bits of path.
func beside(leaves []merkle.Hash, at int, path *big.Int) []*clvm.Node {
	if len(leaves) <= 1 {
		return nil
	}
	half := (len(leaves) + 1) / 2
	if at < half {
		hashes := beside(leaves[:half], at, path)
		return append(hashes, Hash(Root(leaves[half:])))
	}
	hashes := beside(leaves[half:], at-half, path)
	path.SetBit(path, len(hashes), 1)
	return append(hashes, Hash(Root(leaves[:half])))
}
