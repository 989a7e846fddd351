package chain

import (
	"context"

	"github.com/dig-network/digstore/merkle"
)

// A Source reads the chain. What it says is checked against hashes where hashes reach (see the package
// comment); the rest is its word.
//
// What is not there is nil without an error. An error means that the source could not say: acting on
// absence is allowed, acting on an error is not. A capability that is not there after all is
// [errors.ErrUnsupported]. Other errors wrap [ErrUnavailable], [ErrRateLimited],
// [ErrMalformed], [ErrTooLarge] or the context's error. Methods may be called concurrently.
type Source interface {
	// CoinRecord returns what is known of the coin of that id, nil when there is none.
	CoinRecord(ctx context.Context, id merkle.Hash) (*CoinRecord, error)
	// CoinSpend returns how the coin was spent in the block of that height, nil when it was not spent there.
	CoinSpend(ctx context.Context, id merkle.Hash, height uint32) (*CoinSpend, error)
	// Peak returns the newest block. Its Time is 0 when it holds no transactions. A source that is still
	// catching up with its network is [ErrUnavailable].
	Peak(ctx context.Context) (*Block, error)
	// BlockAt returns the block of that height, nil when the chain is not that long.
	BlockAt(ctx context.Context, height uint32) (*Block, error)
}

// A ChildSource is a [Source] that finds coins by the coin that made them. Optional; it is what
// [ErrUnsupportedOp] is got around with.
type ChildSource interface {
	// Children returns the coins that the spends of these coins made, in no particular order.
	Children(ctx context.Context, parents []merkle.Hash) ([]CoinRecord, error)
}

// A HintSource is a [Source] that finds coins by a hint, which anyone may give to any coin. Optional; it
// saves a call for each coin of a lineage.
type HintSource interface {
	// ByHint returns the coins with that hint, in no particular order. A list that is not whole is an error.
	ByHint(ctx context.Context, hint merkle.Hash, includeSpent bool) ([]CoinRecord, error)
}

// A PuzzleSource is a [Source] that finds coins by puzzle hash. Optional; balances need it.
type PuzzleSource interface {
	// ByPuzzleHash returns the coins at that puzzle hash, in no particular order. A list that is not whole
	// is an error.
	ByPuzzleHash(ctx context.Context, puzzleHash merkle.Hash, includeSpent bool) ([]CoinRecord, error)
}

// A NetworkSource is a [Source] that knows which network it is on. Optional.
type NetworkSource interface {
	// Network returns the network's name: [Mainnet], "testnet11", "simulator0".
	Network(ctx context.Context) (string, error)
}

// A TrustSource is a [Source] that says how far its word goes. Optional; without it a source is
// [TrustSingle].
type TrustSource interface {
	Trust() Trust
}

// Mainnet is the name of the network that stores live on.
const Mainnet = "mainnet"
