package chain_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/chaintest"
	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/merkle"
)

// serialized returns the condition with these bytes in hex, in which SS stands for 32 bytes of
// 07.
func serialized(t *testing.T, digits string) chaintest.Condition {
	t.Helper()
	b, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	return chaintest.Serialized(bytes.ReplaceAll(b, []byte{0xa0, 0x55},
		append([]byte{0xa0}, bytes.Repeat([]byte{7}, 32)...)))
}

// TestNextConditions checks the result of Next for conditions of an inner puzzle.
func TestNextConditions(t *testing.T) {
	owner := chaintest.Anyone(1)
	one := merkle.Sum([]byte("one"))
	create := chaintest.CreateCoin(owner.Hash(), 1)
	update := chaintest.UpdateMetadata(chain.Metadata{Root: one})
	list := func(c ...chaintest.Condition) []chaintest.Condition { return c }
	for _, c := range []struct {
		what       string
		conditions []chaintest.Condition
		err        error
		root       merkle.Hash
		amount     uint64
	}{
		{what: "nothing", err: chain.ErrInvalidSpend},
		{what: "an even coin only", conditions: list(chaintest.CreateCoin(owner.Hash(), 2)), err: chain.ErrInvalidSpend},
		{what: "a coin", conditions: list(create), amount: 1},
		{what: "a coin of another odd amount", conditions: list(chaintest.CreateCoin(owner.Hash(), 257)), amount: 257},
		{what: "two odd coins", conditions: list(create, chaintest.CreateCoin(owner.Hash(), 3)), err: chain.ErrInvalidSpend},
		{what: "an odd coin and the end", conditions: list(create, chaintest.Melt()), err: chain.ErrInvalidSpend},
		{what: "the end", conditions: list(chaintest.Melt()), err: chain.ErrMelted},
		{what: "odd and even coins", conditions: list(chaintest.CreateCoin(one, 2), create, chaintest.CreateCoin(one, 4)), amount: 1},
		{what: "an update first", conditions: list(update, create), root: one, amount: 1},
		{what: "an update last", conditions: list(create, update), root: one, amount: 1},
		{what: "two updates", conditions: list(create, update, update), err: chain.ErrInvalidSpend},
		{what: "an update and no coin", conditions: list(update), err: chain.ErrInvalidSpend},
		{what: "another updater from here on", conditions: list(create, chaintest.UpdateMetadataBy(chain.Metadata{Root: one}, one)), err: chain.ErrUpdaterChanged},
		{what: "an update by another program", conditions: list(create, serialized(t, "ff81e8ff01ffffffffa05580ffa05580ff808080")), err: chain.ErrInvalidSpend},
		{what: "an update to nothing", conditions: list(create, serialized(t, "ff81e8ff0bff8080")), err: chain.ErrInvalidSpend},
		{what: "words that are no condition", conditions: list(serialized(t, "01"), serialized(t, "ff0180"), create), amount: 1},
		{what: "an opcode with a zero before it is none", conditions: list(create, serialized(t, "ff820033ffa055ff0180")), amount: 1},
		{what: "a negative amount", conditions: list(serialized(t, "ff33ffa055ff81ff80")), err: chain.ErrInvalidSpend},
		{what: "an amount beyond 64 bits", conditions: list(serialized(t, "ff33ffa055ff8901000000000000000180")), err: chain.ErrInvalidSpend},
		{what: "a puzzle hash of one byte", conditions: list(serialized(t, "ff33ff07ff0180")), err: chain.ErrInvalidSpend},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := chaintest.New(nil).Mint(chain.Metadata{}, owner)
			state := s.State()
			next, err := state.Next(t.Context(), s.Solve(nil, c.conditions...))
			if !errors.Is(err, c.err) {
				t.Fatalf("%+v, %v; want error %v", next, err, c.err)
			}
			if err == nil && (next.Root() != c.root || next.Coin.Amount != c.amount ||
				next.Coin.Parent != state.CoinID()) {
				t.Errorf("root %v, coin %+v; want root %v and amount %d", next.Root(), next.Coin, c.root,
					c.amount)
			}
		})
	}
}

// TestNextMemos: memos are used only if they make the coin's puzzle hash.
func TestNextMemos(t *testing.T) {
	c := chaintest.New(nil)
	owner, other := chaintest.Anyone(1), chaintest.Anyone(2)
	writer := chaintest.Writer(chaintest.Anyone(3))
	liar := chaintest.Anyone(4).Hash()
	s := c.Mint(chain.Metadata{}, owner)
	id := merkle.Hash(s.ID())
	layer := chain.InnerPuzzleHash(s.ID(), owner.Hash(), []chain.Delegate{writer.Delegate})
	for _, m := range []struct {
		what             string
		inner            merkle.Hash
		memos            []merkle.Hash
		owner            merkle.Hash
		known, delegates bool
	}{
		{"none, and the same owner", owner.Hash(), nil, owner.Hash(), true, true},
		{"the id, and the same owner", owner.Hash(), []merkle.Hash{id}, owner.Hash(), true, true},
		{"a lie, and the same owner", owner.Hash(), []merkle.Hash{id, liar}, owner.Hash(), true, true},
		{"the new owner", other.Hash(), []merkle.Hash{id, other.Hash()}, other.Hash(), true, true},
		{"the old form of the new owner", other.Hash(), []merkle.Hash{id, {9}, other.Hash()}, other.Hash(), true, true},
		{"the old owner", other.Hash(), []merkle.Hash{id, owner.Hash()}, other.Hash(), false, false},
		{"somebody", other.Hash(), []merkle.Hash{id, liar}, other.Hash(), false, false},
		{"the old form of somebody", other.Hash(), []merkle.Hash{id, {9}, liar}, other.Hash(), false, false},
		{"the new owner, and not the id", other.Hash(), []merkle.Hash{other.Hash()}, other.Hash(), false, false},
		{"none, and another owner", other.Hash(), nil, other.Hash(), false, false},
		{"no delegates, and there are some", layer, []merkle.Hash{id, owner.Hash()}, layer, false, false},
	} {
		next, err := s.State().Next(t.Context(),
			s.Solve(nil, chaintest.CreateCoin(m.inner, 1, m.memos...)))
		if err != nil {
			t.Errorf("%s: %v", m.what, err)
			continue
		}
		if next.Owner != m.owner || next.OwnerKnown != m.known || next.DelegatesKnown != m.delegates ||
			next.Inner != m.inner || len(next.Delegates) != 0 {
			t.Errorf("%s: %+v", m.what, next)
		}
	}
}

// TestOwnerShownLater: the next spend reveals an owner that the memos did not name.
func TestOwnerShownLater(t *testing.T) {
	c := chaintest.New(nil)
	owner := chaintest.Anyone(1)
	writer := chaintest.Writer(chaintest.Anyone(2))
	s := c.Mint(chain.Metadata{}, owner, writer)
	state := s.State()
	// as after foreign memos
	state.Owner, state.OwnerKnown, state.Delegates, state.DelegatesKnown = state.Inner, false, nil,
		false
	s.UpdateBy(&writer, chain.Metadata{Root: merkle.Sum([]byte("one"))})
	next, err := state.Next(t.Context(), lastSpend(t, c, state.Coin))
	if err != nil {
		t.Fatal(err)
	}
	want := s.State()
	want.Delegates, want.DelegatesKnown = nil, false
	if d := cmp.Diff(want, next); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// TestMutatedSpends: a changed spend is refused, or makes another coin than the real spend.
func TestMutatedSpends(t *testing.T) {
	c := chaintest.New(nil)
	s := c.Mint(chain.Metadata{}, chaintest.Anyone(1))
	stranger := c.Mint(chain.Metadata{}, chaintest.Anyone(1))
	first := s.State()
	s.Update(merkle.Sum([]byte("one")))
	launcher, err := c.CoinRecord(t.Context(), merkle.Hash(s.ID()))
	if err != nil {
		t.Fatal(err)
	}
	launch, update := lastSpend(t, c, launcher.Coin), lastSpend(t, c, first.Coin)

	edit := func(sp *chain.CoinSpend, f func(sp *chain.CoinSpend)) *chain.CoinSpend {
		e := &chain.CoinSpend{Coin: sp.Coin, Puzzle: bytes.Clone(sp.Puzzle),
			Solution: bytes.Clone(sp.Solution)}
		f(e)
		return e
	}
	for _, m := range []struct {
		what   string
		edit   func(sp *chain.CoinSpend)
		launch error
		next   error
	}{
		{"other parent", func(sp *chain.CoinSpend) { sp.Coin.Parent[0] ^= 1 }, chain.ErrSourceInvalid, chain.ErrSourceInvalid},
		{"other puzzle hash", func(sp *chain.CoinSpend) { sp.Coin.PuzzleHash[0] ^= 1 }, chain.ErrSourceInvalid, chain.ErrSourceInvalid},
		{"other amount", func(sp *chain.CoinSpend) { sp.Coin.Amount += 2 }, chain.ErrSourceInvalid, chain.ErrSourceInvalid},
		{"the stranger's puzzle", func(sp *chain.CoinSpend) { sp.Puzzle = stranger.Solve(nil).Puzzle }, chain.ErrSourceInvalid, chain.ErrSourceInvalid},
		{"puzzle cut off", func(sp *chain.CoinSpend) { sp.Puzzle = sp.Puzzle[:len(sp.Puzzle)-1] }, chain.ErrMalformed, chain.ErrMalformed},
		{"solution cut off", func(sp *chain.CoinSpend) { sp.Solution = sp.Solution[:len(sp.Solution)-1] }, chain.ErrMalformed, chain.ErrMalformed},
		{"more after the solution", func(sp *chain.CoinSpend) { sp.Solution = append(sp.Solution, 0x80) }, chain.ErrMalformed, chain.ErrMalformed},
		{"no solution", func(sp *chain.CoinSpend) { sp.Solution = []byte{0x80} }, chain.ErrNotDataStore, chain.ErrInvalidSpend},
	} {
		if _, err := chain.Launch(s.ID(), edit(launch, m.edit)); !errors.Is(err, m.launch) {
			t.Errorf("launch, %s: %v, want %v", m.what, err, m.launch)
		}
		if _, err := first.Next(t.Context(), edit(update, m.edit)); !errors.Is(err, m.next) {
			t.Errorf("update, %s: %v, want %v", m.what, err, m.next)
		}
	}
	if _, err := chain.Launch(stranger.ID(), launch); !errors.Is(err, chain.ErrSourceInvalid) {
		t.Errorf("the launch of another store: %v, want ErrSourceInvalid", err)
	}
	if _, err := chain.FromSpend(t.Context(), stranger.ID(), update); !errors.Is(err,
		chain.ErrNotDataStore) {
		t.Errorf("the update of another store: %v, want ErrNotDataStore", err)
	}

	// One byte changed, anywhere.
	real := s.Coin()
	for i := range launch.Solution {
		state, err := chain.Launch(s.ID(), edit(launch, func(sp *chain.CoinSpend) {
			sp.Solution[i] ^= 0x40
		}))
		if err == nil && state.Coin == first.Coin && !cmp.Equal(state, first) {
			t.Errorf("launch, byte %d of the solution: believed as %+v", i, state)
		}
	}
	for i := range update.Puzzle {
		if _, err := first.Next(t.Context(), edit(update, func(sp *chain.CoinSpend) {
			sp.Puzzle[i] ^= 1
		})); err == nil {
			t.Errorf("update, byte %d of the puzzle: believed", i)
		}
	}
	for i := range update.Solution {
		state, err := first.Next(t.Context(), edit(update, func(sp *chain.CoinSpend) {
			sp.Solution[i] ^= 0x40
		}))
		if err == nil && state.Coin == real && state.Root() != s.State().Root() {
			t.Errorf("update, byte %d of the solution: the real coin, and root %v", i, state.Root())
		}
	}
}

// TestLaunchAmount: a store's first coin has an odd amount, as every singleton has.
func TestLaunchAmount(t *testing.T) {
	c, s := minted(t, 1)
	launcher, err := c.CoinRecord(t.Context(), merkle.Hash(s.ID()))
	if err != nil {
		t.Fatal(err)
	}
	sp, err := c.CoinSpend(t.Context(), merkle.Hash(s.ID()), launcher.Spent)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := chain.Launch(s.ID(), sp); err != nil {
		t.Fatal(err)
	}
	const amountAt = 1 + 1 + 32 + 1 // (hash amount …): ff a0 hash ff amount
	even := *sp
	even.Solution = bytes.Clone(sp.Solution)
	if even.Solution[amountAt] != 1 {
		t.Fatalf("the amount is %#x, want 1", even.Solution[amountAt])
	}
	even.Solution[amountAt] = 2
	if state, err := chain.Launch(s.ID(), &even); !errors.Is(err, chain.ErrNotDataStore) {
		t.Errorf("a first coin of 2: %+v, %v, want %v", state, err, chain.ErrNotDataStore)
	}
}

// TestForeignDelegationLayer: a delegation layer of another store is treated as any owner's
// puzzle. Its owner and its delegates are not those of this store.
func TestForeignDelegationLayer(t *testing.T) {
	c := chaintest.New(nil)
	owner, writer := chaintest.Anyone(1), chaintest.Writer(chaintest.Anyone(2))
	other := c.Mint(chain.Metadata{}, owner, writer)
	mine := c.Mint(chain.Metadata{}, chaintest.Anyone(3)).ID()
	sp := other.Solve(&writer, chaintest.UpdateMetadata(chain.Metadata{Root: root(1)}))
	puzzle, err := clvm.Parse(sp.Puzzle, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, singleton, _ := puzzle.Uncurry()
	_, state, _ := singleton[1].Uncurry()
	layer := state[3]
	var serial [2][]byte
	for i, n := range []*clvm.Node{state[1], layer} {
		if serial[i], err = clvm.Append(nil, n, nil); err != nil {
			t.Fatal(err)
		}
	}
	for store, want := range map[auth.StoreID]struct {
		owner merkle.Hash
		by    chain.Role
	}{
		other.ID(): {owner.Hash(), chain.RoleWriter},
		mine:       {layer.TreeHash(), chain.RoleOwner},
	} {
		program, err := chaintest.StorePuzzle(store, serial[0], serial[1])
		if err != nil {
			t.Fatal(err)
		}
		node, err := clvm.Parse(program, nil)
		if err != nil {
			t.Fatal(err)
		}
		sp := &chain.CoinSpend{Puzzle: program, Solution: sp.Solution,
			Coin: chain.Coin{Parent: root(9), PuzzleHash: node.TreeHash(), Amount: 1}}
		got, err := chain.FromSpend(t.Context(), store, sp)
		if err != nil {
			t.Fatal(err)
		}
		if got.Owner != want.owner || got.By != want.by {
			t.Errorf("owner %v, spent by %v; want %v, %v", got.Owner, got.By, want.owner, want.by)
		}
	}
}
