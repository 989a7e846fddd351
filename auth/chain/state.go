package chain

import (
	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// A State is the content of one store coin. It was checked against the coin's id, which commits
// to all of it. A State does not show whether the coin exists or is the newest: see [Tip].
type State struct {
	Store auth.StoreID
	Coin  Coin
	// Generation is the index of the coin in the lineage, from 0, or -1 if the earlier history
	// was not read.
	Generation int
	Metadata   Metadata
	// Inner is the hash of the inner puzzle: the owner's, or that of the delegation layer around it.
	Inner merkle.Hash
	// Owner is the hash of the owner's puzzle if OwnerKnown is true, and otherwise Inner.
	Owner      merkle.Hash
	OwnerKnown bool
	// Delegates are the puzzles besides the owner's that may spend the coin, in the order in which
	// they are hashed. They come from memos and are known if DelegatesKnown is true: then the coin
	// has their hash.
	Delegates      []Delegate
	DelegatesKnown bool
	// By is the role that spent the previous coin, as far as the spend shows it. It is RoleNone
	// for the first coin of a store.
	By Role
}

// CoinID returns the id of the state's coin.
func (s *State) CoinID() merkle.Hash { return s.Coin.ID() }

// Root returns the root of the store's content, zero if it has no content yet.
func (s *State) Root() merkle.Hash { return s.Metadata.Root }

// A Delegate is one puzzle that the owner lets spend the store's coin.
type Delegate struct {
	Role Role // RoleAdmin, RoleWriter or RoleOracle
	// Puzzle is the hash of the delegate's inner puzzle or, for an oracle, of the puzzle that is
	// paid.
	Puzzle merkle.Hash
	Fee    uint64 // what an oracle is paid, in mojos, even; 0 for other roles
}

// A Role is what a puzzle may do with a store on the chain. See auth/chain/LINEAGE.md 9.1.
type Role uint8

const (
	RoleNone   Role = iota // no role, or not known
	RoleOwner              // everything: root, delegates, transfer, melting
	RoleAdmin              // the root and the delegates
	RoleWriter             // the root
	RoleOracle             // spend the coin unchanged, for a fee
)

// MayWrite reports whether the role may change the store's root.
func (r Role) MayWrite() bool { return r == RoleOwner || r == RoleAdmin || r == RoleWriter }

// String returns owner, admin, writer, oracle or none.
func (r Role) String() string {
	switch r {
	case RoleOwner:
		return "owner"
	case RoleAdmin:
		return "admin"
	case RoleWriter:
		return "writer"
	case RoleOracle:
		return "oracle"
	}
	return "none"
}
