package chain

import (
	"crypto/sha256"
	"time"

	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/merkle"
)

// A Coin is a coin of the chain: its parent coin, its puzzle and its amount.
type Coin struct {
	Parent     merkle.Hash // id of the coin whose spend made this one
	PuzzleHash merkle.Hash // tree hash of the program that a spend runs
	Amount     uint64      // in mojos, or in base units of an asset
}

// ID returns the coin's id: SHA-256(parent || puzzle hash || amount), with the amount in the
// encoding of CLVM integers, so 0 has no byte and 128 has two. See auth/chain/LINEAGE.md 1.2.
func (c Coin) ID() merkle.Hash {
	b := make([]byte, 0, 73)
	b = append(b, c.Parent[:]...)
	b = append(b, c.PuzzleHash[:]...)
	return sha256.Sum256(clvm.AppendUint(b, c.Amount))
}

// A CoinRecord is the answer of a source about a coin. The heights cannot be verified. The
// caller checks that the id is that of the coin.
type CoinRecord struct {
	Coin      Coin
	Confirmed uint32 // height of the block that made it
	Spent     uint32 // height of the block that spent it; 0 if unspent
	Time      uint64 // of the block that made it, in seconds since 1970; 0 if unknown
	// Pending is the height at which too few sources of a [Quorum] report the coin as spent; 0
	// otherwise.
	Pending uint32
}

// A CoinSpend is the spend of a coin: its puzzle and the puzzle's solution, both serialized.
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
	// PrevTransaction is the height of the nearest earlier block with transactions; 0 if unknown.
	PrevTransaction uint32
}

// When returns Time as a time.Time, the zero time if there is none.
func (b Block) When() time.Time {
	if b.Time == 0 {
		return time.Time{}
	}
	return time.Unix(int64(b.Time), 0)
}
