package chain

import (
	"crypto/sha256"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/merkle"
)

// Tree hashes of the programs of store coins. A revealed puzzle is compared with them, so the
// programs are not needed. See auth/chain/LINEAGE.md 2.1.
var (
	modSingleton  = hash("7faa3253bfddd1e0decb0906b2dc6247bbc4cf608f58345d173adb63e8b47c9f")
	modLauncher   = hash("eff07522495060c066f66f32acc2a77e3a3e737aca8baea4d1a64ea4cdc13da9")
	modState      = hash("a04d9f57764f54a43e4030befb4d80026e870519aaa66334aef8304f5d0393c2")
	modDelegation = hash("c3b249466cb15c51e5abb5c54ef5077c1624ae2e6a0f8f7a3fa197a943a5d62e")
	modWriter     = hash("407f70ea751c25052708219ae148b45db2f61af2287da53d600b2486f12b3ca6")
	modStandard   = hash("e9aaa49f45bad5c889b86ee3341550c155cfdd10c3a6757de618d20612fffd52")
	// the default one: (=)
	modHidden = hash("711d6c4e32c92e53179b199484cf8c897542bc57f2b22582799f9d657eec4699")
	modCAT    = hash("37bef360ee858133b69d595a906dc45d01af50379dad515eb9518abb7c1d2a7a")
	// the program 11, which returns its third argument
	updater = merkle.Hash(clvm.Int(11).TreeHash())
)

// Conditions that the inner puzzle of a store coin returns. See auth/chain/LINEAGE.md 2.2.
const (
	condCreateCoin  = 51
	condAnnounce    = 62 // in an oracle: auth/chain/LINEAGE.md 3.2
	condNewMetadata = -24
	condNewMerkle   = -13
	amountMelt      = -113
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
func CATPuzzleHash(asset, inner merkle.Hash) merkle.Hash {
	return clvm.CurryHash(modCAT, clvm.HashAtom(modCAT[:]), clvm.HashAtom(asset[:]), inner)
}

// Leaf returns the leaf of a delegate in the tree of delegates.
func (d Delegate) Leaf() merkle.Hash {
	switch d.Role {
	case RoleWriter:
		return clvm.CurryHash(modWriter, d.Puzzle)
	case RoleOracle:
		// (q (51 puzzle fee) (62 "$"))
		pay := clvm.List(clvm.Int(condCreateCoin), clvm.Atom(d.Puzzle[:]), clvm.Uint(d.Fee))
		say := clvm.List(clvm.Int(condAnnounce), clvm.Text("$"))
		return clvm.Pair(clvm.Int(1), clvm.List(pay, say)).TreeHash()
	}
	return d.Puzzle
}

// DelegatesRoot returns the root of the tree of delegates in their order, zero if there are none.
func DelegatesRoot(list []Delegate) merkle.Hash {
	leaves := make([]merkle.Hash, len(list))
	for i, d := range list {
		leaves[i] = d.Leaf()
	}
	return delegatesRoot(leaves)
}

// delegatesRoot splits the list after the larger half, and hashes pairs. The root of an empty
// list is zero.
func delegatesRoot(leaves []merkle.Hash) merkle.Hash {
	switch n := len(leaves); n {
	case 0:
		return merkle.Hash{}
	case 1:
		return clvm.HashAtom(leaves[0][:])
	default:
		half := (n + 1) / 2
		return clvm.HashPair(delegatesRoot(leaves[:half]), delegatesRoot(leaves[half:]))
	}
}

// delegationHash returns the hash of the delegation layer around an owner.
func delegationHash(store auth.StoreID, owner, root merkle.Hash) merkle.Hash {
	return clvm.CurryHash(modDelegation, clvm.HashAtom(modDelegation[:]), clvm.HashAtom(store[:]),
		clvm.HashAtom(owner[:]), clvm.HashAtom(root[:]))
}

// InnerPuzzleHash returns the hash of a store's inner puzzle. Without delegates it is the
// owner's puzzle hash.
func InnerPuzzleHash(store auth.StoreID, owner merkle.Hash, delegates []Delegate) merkle.Hash {
	if len(delegates) == 0 {
		return owner
	}
	return delegationHash(store, owner, DelegatesRoot(delegates))
}

// StorePuzzleHash returns the hash of a store coin's puzzle.
func StorePuzzleHash(store auth.StoreID, metadata Metadata, inner merkle.Hash) merkle.Hash {
	return storePuzzleHash(store, metadata.Hash(), inner)
}

func storePuzzleHash(store auth.StoreID, metadata, inner merkle.Hash) merkle.Hash {
	state := clvm.CurryHash(modState, clvm.HashAtom(modState[:]), metadata, clvm.HashAtom(updater[:]),
		inner)
	return clvm.CurryHash(modSingleton, singletonStruct(store), state)
}

// singletonStruct returns the hash of (singleton launcher-id . launcher).
func singletonStruct(store auth.StoreID) merkle.Hash {
	return clvm.HashPair(clvm.HashAtom(modSingleton[:]),
		clvm.HashPair(clvm.HashAtom(store[:]), clvm.HashAtom(modLauncher[:])))
}

// hash parses a constant of this package.
func hash(digits string) merkle.Hash {
	h, err := merkle.ParseHash(digits)
	if err != nil {
		panic("chain: " + err.Error())
	}
	return h
}
