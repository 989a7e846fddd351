package chaintest

import (
	"context"
	"maps"

	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/merkle"
)

var _ interface {
	chain.Source
	chain.ChildSource
	chain.HintSource
	chain.PuzzleSource
	chain.NetworkSource
} = (*Chain)(nil)

// Calls returns how often each method of the source was called since the last Calls.
func (c *Chain) Calls() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	calls := c.calls
	c.calls = map[string]int{}
	return maps.Clone(calls)
}

// called counts a call and locks the chain.
func (c *Chain) called(method string) func() {
	c.mu.Lock()
	c.calls[method]++
	return c.mu.Unlock
}

// CoinRecord implements chain.Source.
func (c *Chain) CoinRecord(ctx context.Context, id merkle.Hash) (*chain.CoinRecord, error) {
	defer c.called("CoinRecord")()
	k := c.coins[id]
	if k == nil {
		return nil, ctx.Err()
	}
	r := k.CoinRecord
	return &r, ctx.Err()
}

// CoinSpend implements chain.Source.
func (c *Chain) CoinSpend(ctx context.Context, id merkle.Hash, height uint32) (*chain.CoinSpend,
	error) {
	defer c.called("CoinSpend")()
	k := c.coins[id]
	if k == nil || k.spend == nil || k.Spent != height {
		return nil, ctx.Err()
	}
	sp := *k.spend
	return &sp, ctx.Err()
}

// Peak implements chain.Source.
func (c *Chain) Peak(ctx context.Context) (*chain.Block, error) {
	defer c.called("Peak")()
	b := c.blocks[len(c.blocks)-1]
	return &b, ctx.Err()
}

// BlockAt implements chain.Source.
func (c *Chain) BlockAt(ctx context.Context, height uint32) (*chain.Block, error) {
	defer c.called("BlockAt")()
	if int64(height) >= int64(len(c.blocks)) {
		return nil, ctx.Err()
	}
	b := c.blocks[height]
	return &b, ctx.Err()
}

// Children implements chain.ChildSource.
func (c *Chain) Children(ctx context.Context, parents []merkle.Hash) ([]chain.CoinRecord, error) {
	defer c.called("Children")()
	wanted := map[merkle.Hash]bool{}
	for _, p := range parents {
		wanted[p] = true
	}
	return c.list(func(k *coin) bool { return wanted[k.Coin.Parent] }), ctx.Err()
}

// ByHint implements chain.HintSource.
func (c *Chain) ByHint(ctx context.Context, hint merkle.Hash,
	includeSpent bool) ([]chain.CoinRecord, error) {
	defer c.called("ByHint")()
	return c.list(func(k *coin) bool {
		return k.hinted && k.hint == hint && (includeSpent || k.Spent == 0)
	}), ctx.Err()
}

// ByPuzzleHash implements chain.PuzzleSource.
func (c *Chain) ByPuzzleHash(ctx context.Context, puzzleHash merkle.Hash,
	includeSpent bool) ([]chain.CoinRecord, error) {
	defer c.called("ByPuzzleHash")()
	return c.list(func(k *coin) bool {
		return k.Coin.PuzzleHash == puzzleHash && (includeSpent || k.Spent == 0)
	}), ctx.Err()
}

// Network implements chain.NetworkSource.
func (c *Chain) Network(ctx context.Context) (string, error) {
	defer c.called("Network")()
	return c.network, ctx.Err()
}

// list returns the coins that match, in order of creation.
func (c *Chain) list(match func(*coin) bool) []chain.CoinRecord {
	var out []chain.CoinRecord
	for _, id := range c.order {
		if k := c.coins[id]; match(k) {
			out = append(out, k.CoinRecord)
		}
	}
	return out
}
