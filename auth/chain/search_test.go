package chain_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/chaintest"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

// TestSearchLegacy: for spends that can be run, a search returns the same result. It uses the
// reference's scenarios.
func TestSearchLegacy(t *testing.T) {
	var legacy struct {
		Cases []struct {
			vectorSpend
			Launcher auth.StoreID `json:"launcher_id"`
		}
	}
	vectors.Load(t, "chain-lineage-legacy.json", &legacy)
	for _, c := range legacy.Cases {
		// The coin that was spent is itself a state, as far as its puzzle shows.
		sp := c.spend()
		next, err := chain.FromSpend(t.Context(), c.Launcher, sp)
		if err != nil {
			t.Fatal(err)
		}
		found, err := (&chain.State{Store: c.Launcher, Coin: sp.Coin, Generation: -1}).Search(t.Context(),
			sp, next.Coin)
		if err != nil {
			t.Errorf("coin %v: %v", sp.Coin.ID(), err)
			continue
		}
		if found.Coin != next.Coin || found.Root() != next.Root() || found.Owner != next.Owner ||
			found.OwnerKnown != next.OwnerKnown {
			t.Errorf("coin %v: searched %+v, run %+v", sp.Coin.ID(), found, next)
		}
	}
	vectors.Count(t, "chain-lineage-legacy.json, searched", len(legacy.Cases), 0)
}

// lastSpend returns the spend of a store's coin.
func lastSpend(t testing.TB, c *chaintest.Chain, coin chain.Coin) *chain.CoinSpend {
	t.Helper()
	record, err := c.CoinRecord(t.Context(), coin.ID())
	if err != nil || record == nil || record.Spent == 0 {
		t.Fatalf("coin %v: %+v, %v; want it spent", coin.ID(), record, err)
	}
	sp, err := c.CoinSpend(t.Context(), coin.ID(), record.Spent)
	if err != nil {
		t.Fatal(err)
	}
	return sp
}

// TestSearchOpaque resolves a store with an owner's puzzle that cannot be run.
func TestSearchOpaque(t *testing.T) {
	label := "kept"
	c := chaintest.New(nil)
	s := c.Mint(chain.Metadata{Label: &label}, chaintest.Opaque(1))
	admin := chaintest.Admin(chaintest.Opaque(2))
	state := s.State()
	for _, step := range []struct {
		what string
		do   func()
	}{
		{"update", func() { s.Update(merkle.Sum([]byte("one"))) }},
		{"delegates", func() { s.Delegate(nil, chaintest.Writer(chaintest.Opaque(3)), admin) }},
		{"update by an admin", func() { s.UpdateBy(&admin, chain.Metadata{Root: merkle.Sum([]byte("two")), Label: &label}) }},
		{"delegates by an admin", func() { s.Delegate(&admin, admin) }},
		{"no delegates by an admin", func() { s.Delegate(&admin) }},
		{"transfer", func() { s.Transfer(chaintest.Opaque(4)) }},
	} {
		step.do()
		sp := lastSpend(t, c, state.Coin)
		if next, err := state.Next(t.Context(), sp); !errors.Is(err, chain.ErrUnsupportedOp) {
			t.Errorf("%s: %+v, %v; want ErrUnsupportedOp", step.what, next, err)
		}
		found, err := state.Search(t.Context(), sp, s.Coin())
		if err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		if d := cmp.Diff(s.State(), found); d != "" {
			t.Errorf("%s (-made +found):\n%s", step.what, d)
		}

		other := s.Coin()
		other.PuzzleHash[0] ^= 1
		if _, err := state.Search(t.Context(), sp, other); !errors.Is(err, chain.ErrUnresolvable) {
			t.Errorf("%s: for another child: %v, want ErrUnresolvable", step.what, err)
		}
		for _, wrong := range []chain.Coin{{Parent: merkle.Hash{1}, PuzzleHash: s.Coin().PuzzleHash,
			Amount: 1}, {Parent: s.Coin().Parent, PuzzleHash: s.Coin().PuzzleHash, Amount: 2}} {
			if _, err := state.Search(t.Context(), sp, wrong); !errors.Is(err, chain.ErrSourceInvalid) {
				t.Errorf("%s: for %+v: %v, want ErrSourceInvalid", step.what, wrong, err)
			}
		}
		state = found
	}
}
