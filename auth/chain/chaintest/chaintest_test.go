package chaintest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/chaintest"
	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/merkle"
)

func root(i int) merkle.Hash { return merkle.Sum([]byte{byte(i), byte(i >> 8)}) }

// runWhole runs a spend's whole puzzle with its whole solution, as the network does, and
// returns the odd coins that it makes.
func runWhole(t *testing.T, sp *chain.CoinSpend) (made []chain.Coin) {
	t.Helper()
	puzzle, err := clvm.Parse(sp.Puzzle, nil)
	if err != nil {
		t.Fatal(err)
	}
	solution, err := clvm.Parse(sp.Solution, nil)
	if err != nil {
		t.Fatal(err)
	}
	if puzzle.TreeHash() != sp.Coin.PuzzleHash {
		t.Fatalf("the puzzle hashes to %x, the coin's is %v", puzzle.TreeHash(), sp.Coin.PuzzleHash)
	}
	conditions, err := clvm.Run(context.Background(), puzzle, solution, nil)
	if err != nil {
		t.Fatalf("run the whole puzzle of coin %v: %v", sp.Coin.ID(), err)
	}
	for c := range conditions.Items() {
		items, _, ok := c.Take(3)
		if !ok {
			continue
		}
		op, _ := items[0].Int64()
		ph, isHash := items[1].Bytes32()
		amount, isAmount := items[2].Uint64()
		if op == 51 && isHash && isAmount && amount%2 == 1 {
			made = append(made, chain.Coin{Parent: sp.Coin.ID(), PuzzleHash: ph, Amount: amount})
		}
	}
	return made
}

// TestStepsAgree: for each step of a store, the state of chaintest, the state that package chain
// reads from the spend, and the coin that the network computes by running it are the same.
func TestStepsAgree(t *testing.T) {
	c := chaintest.New(nil)
	label := "a label"
	admin, writer := chaintest.Admin(chaintest.Anyone(10)), chaintest.Writer(chaintest.Anyone(20))
	oracle := chaintest.Oracle(root(99), 1000)
	writer2 := chaintest.Writer(chaintest.Standard(auth.PublicKey{0xc0}))
	s := c.Mint(chain.Metadata{}, chaintest.Anyone(1))

	check := func(what string, before *chain.State, step func()) *chain.State {
		t.Helper()
		coin := merkle.Hash(s.ID())
		if before != nil {
			coin = before.CoinID()
		}
		if step != nil {
			step()
		}
		record, err := c.CoinRecord(t.Context(), coin)
		if err != nil || record == nil {
			t.Fatalf("%s: no coin %v", what, coin)
		}
		sp, err := c.CoinSpend(t.Context(), coin, record.Spent)
		if err != nil || sp == nil {
			t.Fatalf("%s: no spend of coin %v", what, coin)
		}
		var next *chain.State
		if before == nil {
			next, err = chain.Launch(s.ID(), sp)
		} else {
			next, err = before.Next(t.Context(), sp)
		}
		whole := runWhole(t, sp)
		if errors.Is(err, chain.ErrMelted) && len(whole) == 0 {
			return nil
		}
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if d := cmp.Diff(s.State(), next); d != "" {
			t.Errorf("%s (-made +read):\n%s", what, d)
		}
		if len(whole) != 1 || whole[0] != next.Coin {
			t.Errorf("%s: run as a whole it makes %v, want %v", what, whole, next.Coin)
		}
		return next
	}
	state := check("mint", nil, nil)
	for _, step := range []struct {
		what string
		do   func()
	}{
		{"update", func() { s.Update(root(1)) }},
		{"update with a label", func() { s.UpdateBy(nil, chain.Metadata{Root: root(2), Label: &label}) }},
		{"delegate", func() { s.Delegate(nil, admin, writer, oracle, writer2, chaintest.Writer(chaintest.Anyone(21))) }},
		{"update by the owner, through the layer", func() { s.Update(root(3)) }},
		{"update by a writer", func() { s.UpdateBy(&writer, chain.Metadata{Root: root(4)}) }},
		{"update by another writer", func() { s.UpdateBy(&writer2, chain.Metadata{Root: root(5), Label: &label}) }},
		{"update by the admin", func() { s.UpdateBy(&admin, chain.Metadata{Root: root(6)}) }},
		{"touch by the oracle", func() { s.Touch(&oracle) }},
		{"other delegates, by the admin", func() { s.Delegate(&admin, writer, admin) }},
		{"update by the writer who stayed", func() { s.UpdateBy(&writer, chain.Metadata{Root: root(7)}) }},
		{"no delegates, by the admin", func() { s.Delegate(&admin) }},
		{"update by the owner of an empty layer", func() { s.Update(root(8)) }},
		{"no layer", func() { s.Delegate(nil) }},
		{"transfer", func() { s.Transfer(chaintest.Standard(auth.PublicKey{0xb0}), writer) }},
		{"update by the new owner's writer", func() { s.UpdateBy(&writer, chain.Metadata{Root: root(9)}) }},
		{"transfer and keep nothing", func() { s.Transfer(chaintest.Anyone(3)) }},
		{"melt", func() { s.Melt() }},
	} {
		state = check(step.what, state, step.do)
	}
	if state != nil {
		t.Error("the store was not melted")
	}
}
