package chain_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

// A scenario is the history of a store by the reference's driver: spends and the state after each.
type scenario struct {
	Name     string
	Steps    []scenarioStep
	Launcher auth.StoreID `json:"launcher_id"`
	Invalid  *struct {
		Why   string
		Spend vectorSpend `json:"store_spend"`
	} `json:"then_invalid_spend"`
}

type scenarioStep struct {
	Op     string        `json:"op"`
	Spend  vectorSpend   `json:"store_spend"`
	Bundle []vectorSpend `json:"bundle_spends"`
	Expect struct {
		Coin      vectorCoin       `json:"coin"`
		ID        merkle.Hash      `json:"coin_id"`
		Launcher  auth.StoreID     `json:"launcher_id"`
		Metadata  vectorMetadata   `json:"metadata"`
		Owner     merkle.Hash      `json:"owner_puzzle_hash"`
		Delegates []vectorDelegate `json:"delegated_puzzles"`
		Melted    bool             `json:"melted"`
	} `json:"expect"`
}

// spenders returns the role that spends the coin in each kind of step.
func spenders() map[string]chain.Role {
	return map[string]chain.Role{
		"mint": chain.RoleNone, "update_metadata:owner": chain.RoleOwner, "update_ownership:owner": chain.RoleOwner,
		"update_metadata:writer": chain.RoleWriter, "update_metadata:admin": chain.RoleAdmin,
		"update_ownership:admin": chain.RoleAdmin, "oracle": chain.RoleOracle,
	}
}

// check resolves the scenario and compares every state.
func (sc *scenario) check(t *testing.T) {
	t.Helper()
	var state *chain.State
	for i, st := range sc.Steps {
		sp := st.Spend.spend()
		found := false
		for _, b := range st.Bundle {
			found = found || cmp.Equal(b.spend(), sp)
		}
		if st.Bundle != nil && !found {
			t.Errorf("step %d: the store's spend is not in the bundle", i)
		}
		var next *chain.State
		var err error
		if state == nil {
			next, err = chain.Launch(sc.Launcher, sp)
		} else {
			next, err = state.Next(t.Context(), sp)
		}
		if st.Expect.Melted {
			var melted *chain.MeltedError
			if !errors.As(err, &melted) || !errors.Is(err, chain.ErrMelted) || melted.Last != state {
				t.Fatalf("step %d, %s: %v, want a melted store", i, st.Op, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("step %d, %s: %v", i, st.Op, err)
		}
		want := st.Expect
		if next.Coin != want.Coin.coin() || next.CoinID() != want.ID || next.Store != want.Launcher ||
			next.Generation != i {
			t.Errorf("step %d, %s: coin %+v, generation %d; want %+v", i, st.Op, next.Coin, next.Generation,
				want.Coin.coin())
		}
		if d := cmp.Diff(want.Metadata.metadata(), next.Metadata); d != "" {
			t.Errorf("step %d, %s: metadata (-want +got)\n%s", i, st.Op, d)
		}
		if !next.OwnerKnown || next.Owner != want.Owner {
			t.Errorf("step %d, %s: owner %v, known %v, want %v", i, st.Op, next.Owner, next.OwnerKnown,
				want.Owner)
		}
		if d := cmp.Diff(delegates(t, want.Delegates), next.Delegates); d != "" || !next.DelegatesKnown {
			t.Errorf("step %d, %s: delegates known %v (-want +got)\n%s", i, st.Op, next.DelegatesKnown, d)
		}
		if next.By != spenders()[st.Op] {
			t.Errorf("step %d, %s: spent by %v", i, st.Op, next.By)
		}
		if got := chain.StorePuzzleHash(sc.Launcher, next.Metadata,
			next.Inner); got != next.Coin.PuzzleHash {
			t.Errorf("step %d, %s: puzzle %v of its parts, want %v", i, st.Op, got, next.Coin.PuzzleHash)
		}
		if i > 0 { // FromSpend returns the same, except for the history
			alone, err := chain.FromSpend(t.Context(), sc.Launcher, sp)
			if err != nil || alone.Coin != next.Coin || alone.Owner != next.Owner || !alone.OwnerKnown ||
				alone.Generation != -1 {
				t.Errorf("step %d, %s: from the spend alone: %+v, %v", i, st.Op, alone, err)
			}
			searched, err := state.Search(t.Context(), sp, next.Coin)
			if err != nil || !cmp.Equal(searched, next) {
				t.Errorf("step %d, %s: searched: %+v, %v; want %+v", i, st.Op, searched, err, next)
			}
		}
		state = next
	}
	if sc.Invalid != nil {
		if _, err := state.Next(t.Context(), sc.Invalid.Spend.spend()); !errors.Is(err,
			chain.ErrSourceInvalid) {
			t.Errorf("%s: %v, want ErrSourceInvalid", sc.Invalid.Why, err)
		}
	}
}

func TestVectorsReference(t *testing.T) {
	var file struct {
		Note, Source string
		Keys         map[string]struct{ PK, PH vectors.Hex }
		Scenarios    []scenario
	}
	vectors.Load(t, "chain-lineage-reference.json", &file)
	for name, k := range file.Keys {
		if got := chain.StandardPuzzleHash(auth.PublicKey(k.PK)); got != merkle.Hash(k.PH) {
			t.Errorf("key %s: puzzle hash %v, want %v", name, got, k.PH)
		}
	}
	steps := 0
	for _, sc := range file.Scenarios {
		steps += len(sc.Steps)
		t.Run(sc.Name, sc.check)
	}
	vectors.Count(t, "chain-lineage-reference.json", steps, 0)
}

func TestVectorsLegacy(t *testing.T) {
	var file struct {
		Note, Source string
		Cases        []struct {
			vectorSpend
			ID       merkle.Hash  `json:"coin_id"`
			Inner    merkle.Hash  `json:"current_inner_puzzle_hash"`
			Root     merkle.Hash  `json:"current_root"`
			Launcher auth.StoreID `json:"launcher_id"`
			Expect   struct {
				Amount     uint64      `json:"amount"`
				ID         merkle.Hash `json:"coin_id"`
				Owner      merkle.Hash `json:"owner_puzzle_hash"`
				PuzzleHash merkle.Hash `json:"puzzle_hash"`
				Root       merkle.Hash `json:"root_hash"`
			}
		}
	}
	vectors.Load(t, "chain-lineage-legacy.json", &file)
	for _, c := range file.Cases {
		sp := c.spend()
		if sp.Coin.ID() != c.ID {
			t.Errorf("coin %v, want %v", sp.Coin.ID(), c.ID)
		}
		if got := chain.StorePuzzleHash(c.Launcher, chain.Metadata{Root: c.Root},
			c.Inner); got != sp.Coin.PuzzleHash {
			t.Errorf("coin %v: puzzle %v, want %v", c.ID, got, sp.Coin.PuzzleHash)
		}
		got, err := chain.FromSpend(t.Context(), c.Launcher, sp)
		if err != nil {
			t.Errorf("coin %v: %v", c.ID, err)
			continue
		}
		want := c.Expect
		if got.CoinID() != want.ID || got.Coin.PuzzleHash != want.PuzzleHash ||
			got.Coin.Amount != want.Amount || got.Root() != want.Root || got.Owner != want.Owner {
			t.Errorf("coin %v: made %+v, want %+v", c.ID, got, want)
		}
	}
	vectors.Count(t, "chain-lineage-legacy.json", len(file.Cases), 0)
}

func TestVectorsMint(t *testing.T) {
	var file struct {
		Note, Source string
		Cases        []struct {
			Key      auth.PublicKey `json:"synthetic_public_key"`
			Owner    merkle.Hash    `json:"owner_puzzle_hash"`
			Launcher auth.StoreID   `json:"launcher_id"`
			Bundle   []vectorSpend  `json:"bundle_spends"`
			Spend    vectorSpend    `json:"launcher_spend"`
			Expect   struct {
				Root   merkle.Hash   `json:"root_hash"`
				Memos  []merkle.Hash `json:"launcher_memos"`
				Parent merkle.Hash   `json:"launcher_parent_coin_id"`
				Eve    merkle.Hash   `json:"eve_puzzle_hash"`
			}
		}
	}
	vectors.Load(t, "chain-mint-chip35.json", &file)
	for _, c := range file.Cases {
		if got := chain.StandardPuzzleHash(c.Key); got != c.Owner {
			t.Errorf("owner %v, want %v", got, c.Owner)
		}
		inBundle := false
		for _, sp := range c.Bundle {
			inBundle = inBundle || cmp.Equal(sp.spend(), c.Spend.spend())
		}
		if !inBundle {
			t.Error("the launcher's spend is not in the bundle")
		}
		got, err := chain.Launch(c.Launcher, c.Spend.spend())
		if err != nil {
			t.Fatal(err)
		}
		if got.Root() != c.Expect.Root || got.Coin.PuzzleHash != c.Expect.Eve ||
			c.Spend.Coin.coin().Parent != c.Expect.Parent || got.Owner != c.Owner || !got.OwnerKnown {
			t.Errorf("launched %+v, want %+v", got, c.Expect)
		}
		if memos := []merkle.Hash{chain.OwnerHint(c.Owner), chain.LauncherHint()}; !cmp.Equal(memos,
			c.Expect.Memos) {
			t.Errorf("hints %v, want %v", memos, c.Expect.Memos)
		}
	}
	vectors.Count(t, "chain-mint-chip35.json", len(file.Cases), 0)
}
