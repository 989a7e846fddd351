package chain

import (
	"context"

	"github.com/dig-network/digstore/merkle"
)

// A Source reads the chain. Its answers are checked against hashes where hashes can check them;
// see the package comment.
//
// A missing object is nil without an error. An error means that the source cannot tell, so a
// caller must not treat an error as absence. An unsupported method returns
// [errors.ErrUnsupported]. Other errors wrap [ErrUnavailable], [ErrRateLimited],
// [ErrMalformed], [ErrTooLarge] or the context's error. Methods may be called concurrently.
type Source interface {
	// CoinRecord returns the record of the coin with that id, nil if there is none.
	CoinRecord(ctx context.Context, id merkle.Hash) (*CoinRecord, error)
	// CoinSpend returns the spend of the coin in the block at that height, nil if it was not
	// spent there.
	CoinSpend(ctx context.Context, id merkle.Hash, height uint32) (*CoinSpend, error)
	// Peak returns the newest block. Its Time is 0 if it has no transactions. If the source is not
	// synchronized with its network, the error is [ErrUnavailable].
	Peak(ctx context.Context) (*Block, error)
	// BlockAt returns the block at that height, nil if the chain is shorter.
	BlockAt(ctx context.Context, height uint32) (*Block, error)
}

// A ChildSource is an optional interface of a [Source] that finds coins by their parents. It is
// needed for spends with [ErrUnsupportedOp].
type ChildSource interface {
	// Children returns the coins with these parents, in any order.
	Children(ctx context.Context, parents []merkle.Hash) ([]CoinRecord, error)
}

// A HintSource is an optional interface of a [Source] that finds coins by a hint, which anyone
// can set for any coin. It saves a request for each coin of a lineage.
type HintSource interface {
	// ByHint returns the coins with that hint, in any order. An incomplete list is an error.
	ByHint(ctx context.Context, hint merkle.Hash, includeSpent bool) ([]CoinRecord, error)
}

// A PuzzleSource is an optional interface of a [Source] that finds coins by puzzle hash.
// Balances need it.
type PuzzleSource interface {
	// ByPuzzleHash returns the coins with that puzzle hash, in any order. An incomplete list is
	// an error.
	ByPuzzleHash(ctx context.Context, puzzleHash merkle.Hash, includeSpent bool) ([]CoinRecord, error)
}

// A NetworkSource is an optional interface of a [Source] that knows its network.
type NetworkSource interface {
	// Network returns the network's name: [Mainnet], "testnet11", "simulator0".
	Network(ctx context.Context) (string, error)
}

// A TrustSource is an optional interface of a [Source] that knows its [Trust]. Other sources
// are [TrustSingle].
type TrustSource interface {
	Trust() Trust
}

// Mainnet is the name of Chia's main network.
const Mainnet = "mainnet"
