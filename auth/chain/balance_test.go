package chain_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/chaintest"
	"github.com/dig-network/digstore/merkle"
)

func TestBalance(t *testing.T) {
	owner := chaintest.Anyone(1).Hash()
	c := newChain(t)
	for _, amount := range []uint64{5, 70, 1 << 40} {
		c.Coin(owner, amount)
	}
	gone := c.Coin(owner, 1000)
	if err := c.Spend(&chain.CoinSpend{Coin: gone, Puzzle: []byte{1}, Solution: []byte{0x80}}, nil,
		nil); err != nil {
		t.Fatal(err)
	}
	c.Coin(chaintest.Anyone(2).Hash(), 9)
	c.Coin(chain.CATPuzzleHash(chain.DIG(), owner), 1500)
	c.Coin(chain.CATPuzzleHash(merkle.Hash{1}, owner), 3)

	r := chain.NewResolver(c, unhurried())
	for _, q := range []struct {
		what         string
		owner, asset merkle.Hash
		want         chain.Balance
	}{
		{"XCH", owner, merkle.Hash{}, chain.Balance{Amount: 75 + 1<<40, Coins: 3, Verified: true}},
		{"DIG", owner, chain.DIG(), chain.Balance{Amount: 1500, Coins: 1}},
		{"another asset", owner, merkle.Hash{1}, chain.Balance{Amount: 3, Coins: 1}},
		{"nothing", merkle.Hash{9}, merkle.Hash{}, chain.Balance{Verified: true}},
	} {
		if got, err := r.Balance(t.Context(), q.owner, q.asset); err != nil || got != q.want {
			t.Errorf("%s: %+v, %v, want %+v", q.what, got, err, q.want)
		}
	}
	if _, err := chain.NewResolver(bare{c}, unhurried()).Balance(t.Context(), owner,
		merkle.Hash{}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("of a source that finds no coins: %v, want ErrUnsupported", err)
	}
}

func TestBalanceOfLiars(t *testing.T) {
	owner := chaintest.Anyone(1).Hash()
	coin := chain.CoinRecord{Coin: chain.Coin{Parent: merkle.Hash{1}, PuzzleHash: owner, Amount: 5},
		Confirmed: 1}
	big := coin
	big.Coin.Amount = math.MaxUint64
	elsewhere, spent := coin, coin
	elsewhere.Coin.PuzzleHash[0] ^= 1
	spent.Spent = 2
	for what, list := range map[string][]chain.CoinRecord{
		"a coin that lies elsewhere": {coin, elsewhere},
		"a coin that was spent":      {spent},
		"a coin twice":               {coin, coin},
		"more than there is":         {coin, big},
	} {
		p := &party{Chain: newChain(t), name: "liar", list: func([]chain.CoinRecord) []chain.CoinRecord {
			return list
		}}
		if got, err := chain.NewResolver(p, unhurried()).Balance(t.Context(), owner,
			merkle.Hash{}); !errors.Is(err, chain.ErrSourceInvalid) {
			t.Errorf("%s: %+v, %v, want ErrSourceInvalid", what, got, err)
		}
	}
	p := &party{Chain: newChain(t), name: "down", down: chain.ErrUnavailable}
	if _, err := chain.NewResolver(p, unhurried()).Balance(t.Context(), owner,
		merkle.Hash{}); !errors.Is(err, chain.ErrUnavailable) {
		t.Errorf("of a source that is down: %v, want ErrUnavailable", err)
	}
}

func TestOwned(t *testing.T) {
	owner, other := chaintest.Anyone(1), chaintest.Anyone(2)
	c := newChain(t)
	mint := func(owner chaintest.Puzzle) *chaintest.Store { return c.Mint(chain.Metadata{}, owner) }
	kept, updated, given, melted, got := mint(owner), mint(owner), mint(owner), mint(owner),
		mint(other)
	updated.Update(root(1))
	delegated := c.Mint(chain.Metadata{}, owner, chaintest.Writer(other))
	given.Transfer(other)
	melted.Melt()
	got.Transfer(owner) // no hint names it
	launcher, err := c.CoinRecord(t.Context(), merkle.Hash(kept.ID()))
	if err != nil {
		t.Fatal(err)
	}
	c.Hinted(launcher.Coin.PuzzleHash, 1, chain.OwnerHint(owner.Hash())) // not minted
	c.Hinted(owner.Hash(), 1, chain.OwnerHint(owner.Hash()))             // not a launcher

	owned := func(puzzle chaintest.Puzzle) []auth.StoreID {
		t.Helper()
		tips, err := chain.NewResolver(c, unhurried()).Owned(context.Background(), puzzle.Hash())
		if err != nil {
			t.Fatal(err)
		}
		var ids []auth.StoreID
		for _, tip := range tips {
			ids = append(ids, tip.Store)
		}
		return ids
	}
	if ids, want := owned(owner), []auth.StoreID{kept.ID(), updated.ID(),
		delegated.ID()}; !slices.Equal(ids, want) {
		t.Errorf("owned %v, want %v", ids, want)
	}
	if ids := owned(other); len(ids) != 0 {
		t.Errorf("owned by the other: %v, want none", ids)
	}
	if _, err := chain.NewResolver(bare{c}, unhurried()).Owned(t.Context(),
		owner.Hash()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("of a source without hints: %v, want ErrUnsupported", err)
	}
}
