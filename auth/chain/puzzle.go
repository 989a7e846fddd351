package chain

import (
	"crypto/sha256"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain/internal/puzzle"
	"github.com/dig-network/digstore/merkle"
)

// DIG returns the asset id of DIG on mainnet. Its amounts are in units of 0.001 DIG.
func DIG() merkle.Hash {
	return hash("a406d3a9de984d03c9591c10d917593b434d5263cabe2b42f6b367df16832f81")
}

// LauncherHint returns the hint that a mint can set for a store's launcher: SHA-256("datastore").
func LauncherHint() merkle.Hash { return merkle.Sum([]byte("datastore")) }

// ownerHintDomain is hashed before the owner's puzzle hash in its hint.
const ownerHintDomain = "dig:datastore:owner:v1"

// OwnerHint returns the hint of the stores that were minted for an owner:
// SHA-256("dig:datastore:owner:v1" || puzzle hash).
func OwnerHint(owner merkle.Hash) merkle.Hash {
	return sha256.Sum256(append([]byte(ownerHintDomain), owner[:]...))
}

// CATPuzzleHash returns the puzzle hash of the coins of an asset that belong to the puzzle inner.
func CATPuzzleHash(asset, inner merkle.Hash) merkle.Hash { return puzzle.CATHash(asset, inner) }

// Leaf returns the leaf of a delegate in the tree of delegates.
func (d Delegate) Leaf() merkle.Hash {
	switch d.Role {
	case RoleWriter:
		return puzzle.WriterHash(d.Puzzle)
	case RoleOracle:
		return puzzle.NewOracle(d.Puzzle, d.Fee).TreeHash()
	}
	return d.Puzzle
}

// DelegatesRoot returns the root of the tree of delegates in their order, zero if there are none.
func DelegatesRoot(list []Delegate) merkle.Hash {
	leaves := make([]merkle.Hash, len(list))
	for i, d := range list {
		leaves[i] = d.Leaf()
	}
	return puzzle.Root(leaves)
}

// InnerPuzzleHash returns the hash of a store's inner puzzle. Without delegates it is the
// owner's puzzle hash.
func InnerPuzzleHash(store auth.StoreID, owner merkle.Hash, delegates []Delegate) merkle.Hash {
	if len(delegates) == 0 {
		return owner
	}
	return puzzle.DelegationHash(store, owner, DelegatesRoot(delegates))
}

// StorePuzzleHash returns the hash of a store coin's puzzle.
func StorePuzzleHash(store auth.StoreID, metadata Metadata, inner merkle.Hash) merkle.Hash {
	return puzzle.StoreHash(store, metadata.Hash(), inner)
}

// hash parses a constant of this package.
func hash(digits string) merkle.Hash {
	h, err := merkle.ParseHash(digits)
	if err != nil {
		panic("chain: " + err.Error())
	}
	return h
}
