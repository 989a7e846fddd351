package chain

import (
	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// A State is what one store coin says: everything here is fixed by the coin's id and was checked against it.
// Whether the coin exists, and is the newest, is not in it: see [Tip].
type State struct {
	Store auth.StoreID
	Coin  Coin
	// Generation is the coin's place in the lineage: the first is 0. It is -1 when the state was found
	// without the history before it.
	Generation int
	Metadata   Metadata
	// Inner is the hash of the inner puzzle: the owner's, or that of the delegation layer around it.
	Inner merkle.Hash
	// Owner is the hash of the owner's puzzle where OwnerKnown is set; else Inner, whatever that is.
	Owner      merkle.Hash
	OwnerKnown bool
	// Delegates are those who may write besides the owner, in the order in which they are hashed. They are
	// known where DelegatesKnown is set: memos on the chain name them, and their hash is in the coin.
	Delegates      []Delegate
	DelegatesKnown bool
	// By is who spent the coin before, as far as the spend shows: RoleNone for the first coin of a store.
	By Role
}

// CoinID returns the id of the state's coin.
func (s *State) CoinID() merkle.Hash { return s.Coin.ID() }

// Root returns the root of the store's content, zero for a store that has none yet.
func (s *State) Root() merkle.Hash { return s.Metadata.Root }

// A Delegate is one puzzle that the owner lets spend the store's coin.
type Delegate struct {
	Role Role // RoleAdmin, RoleWriter or RoleOracle
	// Puzzle is the hash of the delegate's inner puzzle; for an oracle that of the puzzle that is paid.
	Puzzle merkle.Hash
	Fee    uint64 // what an oracle takes, in mojos, even; 0 for others
}

// A Role says what a puzzle may do with a store on the chain. See auth/chain/LINEAGE.md 9.1.
type Role uint8

const (
	RoleNone   Role = iota // nothing, or not known
	RoleOwner              // everything: root, delegates, transfer, melting
	RoleAdmin              // the root and the delegates
	RoleWriter             // the root
	RoleOracle             // spend it unchanged, for a fee
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
