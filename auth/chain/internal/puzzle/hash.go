package puzzle

import (
	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/merkle"
)

// Tree hashes of the programs.
var (
	Singleton  = hash("7faa3253bfddd1e0decb0906b2dc6247bbc4cf608f58345d173adb63e8b47c9f")
	Launcher   = hash("eff07522495060c066f66f32acc2a77e3a3e737aca8baea4d1a64ea4cdc13da9")
	State      = hash("a04d9f57764f54a43e4030befb4d80026e870519aaa66334aef8304f5d0393c2")
	Delegation = hash("c3b249466cb15c51e5abb5c54ef5077c1624ae2e6a0f8f7a3fa197a943a5d62e")
	Writer     = hash("407f70ea751c25052708219ae148b45db2f61af2287da53d600b2486f12b3ca6")
	Standard   = hash("e9aaa49f45bad5c889b86ee3341550c155cfdd10c3a6757de618d20612fffd52")
	// Hidden is the default hidden puzzle of the standard puzzle: (=).
	Hidden = hash("711d6c4e32c92e53179b199484cf8c897542bc57f2b22582799f9d657eec4699")
	CAT    = hash("37bef360ee858133b69d595a906dc45d01af50379dad515eb9518abb7c1d2a7a")
	// Updater is the hash of the program 11, which returns its third argument.
	Updater = merkle.Hash(clvm.Int(updaterProgram).TreeHash())
)

const updaterProgram = 11

// Conditions and amounts with a meaning of their own. See auth/chain/LINEAGE.md 2.2.
const (
	CondCreateCoin  = 51
	CondAnnounce    = 62 // in an oracle: auth/chain/LINEAGE.md 3.2
	CondNewMetadata = -24
	CondNewMerkle   = -13
	AmountMelt      = -113
)

// OracleText is what an oracle's puzzle announces.
const OracleText = "$"

// StandardHash returns the puzzle hash of the standard puzzle with a synthetic key.
func StandardHash(key [48]byte) merkle.Hash {
	return clvm.CurryHash(Standard, clvm.HashAtom(key[:]))
}

// CATHash returns the puzzle hash of the coins of an asset that belong to the puzzle inner.
func CATHash(asset, inner merkle.Hash) merkle.Hash {
	return clvm.CurryHash(CAT, clvm.HashAtom(CAT[:]), clvm.HashAtom(asset[:]), inner)
}

// WriterHash returns the hash of the writer layer around a puzzle.
func WriterHash(inner merkle.Hash) merkle.Hash { return clvm.CurryHash(Writer, inner) }

// DelegationHash returns the hash of the delegation layer around an owner.
func DelegationHash(store [32]byte, owner, root merkle.Hash) merkle.Hash {
	return clvm.CurryHash(Delegation, clvm.HashAtom(Delegation[:]), clvm.HashAtom(store[:]),
		clvm.HashAtom(owner[:]), clvm.HashAtom(root[:]))
}

// StateHash returns the hash of the state layer, from the hashes of the metadata and of the inner
// puzzle.
func StateHash(metadata, inner merkle.Hash) merkle.Hash {
	return clvm.CurryHash(State, clvm.HashAtom(State[:]), metadata, clvm.HashAtom(Updater[:]), inner)
}

// StoreHash returns the hash of a store coin's puzzle, from the hashes of the metadata and of the
// inner puzzle.
func StoreHash(store [32]byte, metadata, inner merkle.Hash) merkle.Hash {
	return clvm.CurryHash(Singleton, SingletonStruct(store), StateHash(metadata, inner))
}

// SingletonStruct returns the hash of (singleton launcher-id . launcher).
func SingletonStruct(store [32]byte) merkle.Hash {
	return clvm.HashPair(clvm.HashAtom(Singleton[:]),
		clvm.HashPair(clvm.HashAtom(store[:]), clvm.HashAtom(Launcher[:])))
}

// hash parses a constant of this package.
func hash(digits string) merkle.Hash {
	h, err := merkle.ParseHash(digits)
	if err != nil {
		panic("puzzle: " + err.Error())
	}
	return h
}
