package chaintest_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/chaintest"
	"github.com/dig-network/digstore/merkle"
)

func TestBlocks(t *testing.T) {
	c := chaintest.New(nil)
	c.Farm(9)
	s := c.Mint(chain.Metadata{}, chaintest.Anyone(1))
	var last *chain.Block
	for h := uint32(0); h <= c.Height(); h++ {
		b, err := c.BlockAt(t.Context(), h)
		if err != nil || b == nil || b.Height != h {
			t.Fatalf("block %d: %+v, %v", h, b, err)
		}
		if h > 0 && (b.PrevTransaction >= h || b.Hash == last.Hash) {
			t.Errorf("block %d: %+v", h, b)
		}
		if prev, err := c.BlockAt(t.Context(), b.PrevTransaction); err != nil || prev.Time == 0 {
			t.Errorf("block %d: the block before it with transactions is %+v, %v", h, prev, err)
		}
		last = b
	}
	if b, err := c.BlockAt(t.Context(), c.Height()+1); b != nil || err != nil {
		t.Errorf("a block above the peak: %+v, %v", b, err)
	}
	launcher, err := c.CoinRecord(t.Context(), merkle.Hash(s.ID()))
	if err != nil || launcher.Confirmed != c.Height() || launcher.Spent != c.Height() {
		t.Errorf("the launcher: %+v, %v; want it made and spent in the newest block", launcher, err)
	}
}

func TestTogether(t *testing.T) {
	c := chaintest.New(nil)
	s := c.Mint(chain.Metadata{}, chaintest.Anyone(1))
	before, first := c.Height(), s.Coin()
	c.Together(func() {
		s.Update(root(1))
		s.Update(root(2))
	})
	if c.Height() != before+1 {
		t.Errorf("height %d, want one block more than %d", c.Height(), before)
	}
	if r, err := c.CoinRecord(t.Context(), first.ID()); err != nil || r.Spent != c.Height() {
		t.Errorf("the first coin: %+v, %v", r, err)
	}
	if r, err := c.CoinRecord(t.Context(), s.Coin().Parent); err != nil || r.Confirmed != c.Height() ||
		r.Spent != c.Height() {
		t.Errorf("the coin between: %+v, %v; want it made and spent in one block", r, err)
	}
}

// TestReorg: a reorganization removes all effects of the removed blocks, and another history can
// follow.
func TestReorg(t *testing.T) {
	c := chaintest.New(nil)
	s := c.Mint(chain.Metadata{}, chaintest.Anyone(1))
	s.Update(root(1))
	kept, height := s.State(), c.Height()
	abandoned, err := c.BlockAt(t.Context(), height)
	if err != nil {
		t.Fatal(err)
	}
	s.Update(root(2))
	gone := s.Coin()
	s.Melt()
	c.Reorg(height)
	s.Rewind()
	if d := cmp.Diff(kept, s.State()); d != "" {
		t.Errorf("after the reorganisation (-before +after):\n%s", d)
	}
	if r, err := c.CoinRecord(t.Context(), gone.ID()); r != nil || err != nil {
		t.Errorf("the coin that was taken back: %+v, %v", r, err)
	}
	if r, err := c.CoinRecord(t.Context(), kept.CoinID()); err != nil || r.Spent != 0 {
		t.Errorf("the coin whose spend was taken back: %+v, %v", r, err)
	}
	if b, err := c.BlockAt(t.Context(), height); err != nil || b.Hash != abandoned.Hash {
		t.Errorf("the block below: %+v, %v, want %v", b, err, abandoned.Hash)
	}
	s.Update(root(3))
	if got, err := chain.NewResolver(c, nil).Lineage(t.Context(), s.ID()); err != nil ||
		len(got) != 2 || got[1] != root(3) {
		t.Errorf("the other history: %v, %v", got, err)
	}

	// A store that was minted in a removed block does not exist any more.
	late := c.Mint(chain.Metadata{}, chaintest.Anyone(2))
	c.Reorg(height)
	if r, err := c.CoinRecord(t.Context(), merkle.Hash(late.ID())); r != nil || err != nil {
		t.Errorf("the launcher that was taken back: %+v, %v", r, err)
	}
}

func TestSpendOnce(t *testing.T) {
	c := chaintest.New(nil)
	s := c.Mint(chain.Metadata{}, chaintest.Anyone(1))
	sp := s.Solve(nil, chaintest.Melt())
	if err := c.Spend(sp, nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Spend(sp, nil, nil); err == nil {
		t.Error("a coin is spent twice")
	}
	if err := c.Spend(&chain.CoinSpend{Coin: chain.Coin{Amount: 1}}, nil, nil); err == nil {
		t.Error("a coin that is not there is spent")
	}
}
