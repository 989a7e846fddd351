package chain

import (
	"crypto/sha256"
	"time"

	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/merkle"
)

// A Coin is what the chain consists of: an amount that its puzzle holds, and the coin that made it.
type Coin struct {
	Parent     merkle.Hash // id of the coin whose spend made this one
	PuzzleHash merkle.Hash // tree hash of the program that has to be run to spend it
	Amount     uint64      // in mojos, or in base units of an asset
}

// ID returns the coin's id: SHA-256(parent || puzzle hash || amount), the amount as a program writes
// integers, so 0 is no byte and 128 is two. See auth/chain/LINEAGE.md 1.2.
func (c Coin) ID() merkle.Hash {
	b := make([]byte, 0, 73)
	b = append(b, c.Parent[:]...)
	b = append(b, c.PuzzleHash[:]...)
	return sha256.Sum256(clvm.AppendUint(b, c.Amount))
}

// A CoinRecord is what a source says about a coin. That it was made and spent at these heights is the
// source's word; that the id is the coin's is for the reader to check.
type CoinRecord struct {
	Coin      Coin
	Confirmed uint32 // height of the block that made it
	Spent     uint32 // height of the block that spent it; 0 when it is unspent
	Time      uint64 // of the block that made it, in seconds since 1970; 0 when not known
	// Pending is a height above what the source vouches for at which the coin seems to have been spent;
	// 0 otherwise. A [Quorum] sets it.
	Pending uint32
}

// A CoinSpend is how a coin was spent: its puzzle and what the puzzle was run with, both serialized.
type CoinSpend struct {
	Coin     Coin
	Puzzle   []byte
	Solution []byte
}

// A Block is a block of the chain, by its header.
type Block struct {
	Height uint32
	Hash   merkle.Hash // of the header
	// Time is in seconds since 1970. Only blocks with transactions have one; it is 0 for others.
	Time uint64
	// PrevTransaction is the height of the nearest earlier block with transactions; 0 when not known.
	PrevTransaction uint32
}

// When returns Time as a time, the zero time when there is none.
func (b Block) When() time.Time {
	if b.Time == 0 {
		return time.Time{}
	}
	return time.Unix(int64(b.Time), 0)
}
