package chain_test

import (
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

// TestVectorsMainnet resolves a real store of mainnet from recorded answers of a public host.
func TestVectorsMainnet(t *testing.T) {
	var file struct {
		Note, Source string
		Stores       []struct {
			Network string
			Store   auth.StoreID `json:"store_id"`
			Root    merkle.Hash  `json:"root_hash"`
			Eve     merkle.Hash  `json:"eve_coin_id"`
			Tip     merkle.Hash  `json:"tip_coin_id"`
			Records []struct {
				ID      merkle.Hash `json:"coin_id"`
				Spent   bool        `json:"spent"`
				SpentAt uint32      `json:"spent_block_index"`
			} `json:"coin_records"`
			Spends []struct {
				vectorSpend
				Op     string
				Expect struct {
					Root  merkle.Hash  `json:"root_hash"`
					ID    merkle.Hash  `json:"coin_id"`
					Inner *merkle.Hash `json:"inner_puzzle_hash"`
				}
			}
		}
	}
	vectors.Load(t, "chain-lineage-mainnet.json", &file)
	steps := 0
	for _, s := range file.Stores {
		// The recording has only coins with spends; the last spend gives the tip.
		var state *chain.State
		coins := map[merkle.Hash]chain.Coin{}
		for i, sp := range s.Spends {
			steps++
			var err error
			if i == 0 {
				state, err = chain.Launch(s.Store, sp.spend())
			} else {
				state, err = state.Next(t.Context(), sp.spend())
			}
			if err != nil {
				t.Fatalf("%s: %v", sp.Op, err)
			}
			if state.Root() != sp.Expect.Root || state.CoinID() != sp.Expect.ID ||
				sp.Expect.Inner != nil && state.Inner != *sp.Expect.Inner {
				t.Errorf("%s: %+v, want %+v", sp.Op, state, sp.Expect)
			}
			coins[sp.Coin.coin().ID()], coins[state.CoinID()] = sp.Coin.coin(), state.Coin
		}
		source := chain.NewStatic(s.Network)
		var confirmed uint32
		if len(s.Records) > 0 {
			confirmed = s.Records[0].SpentAt // the launcher is made and spent in one block
		}
		spentAt := map[merkle.Hash]uint32{}
		for _, rec := range s.Records {
			coin, ok := coins[rec.ID]
			if !ok || rec.Spent != (rec.SpentAt > 0) {
				t.Fatalf("record of coin %v: %+v", rec.ID, rec)
			}
			source.Add(chain.CoinRecord{Coin: coin, Confirmed: confirmed, Spent: rec.SpentAt},
				merkle.Hash(s.Store))
			spentAt[rec.ID] = rec.SpentAt
			confirmed = max(confirmed, rec.SpentAt) // a coin is made in the block that spends its parent
		}
		for _, sp := range s.Spends {
			source.Spend(*sp.spend(), spentAt[sp.Coin.coin().ID()])
		}
		source.Grow(chain.Block{Height: confirmed + 100})
		r := chain.NewResolver(source, &chain.Options{Network: s.Network, MaxSkew: -1})
		tip, err := r.Tip(t.Context(), s.Store)
		if err != nil || tip.CoinID() != s.Tip || tip.Root() != s.Root ||
			tip.Status != chain.StatusAnchored || !tip.OwnerKnown {
			t.Errorf("tip %+v, %v, want coin %v with root %v", tip, err, s.Tip, s.Root)
		}
		history, err := r.History(t.Context(), s.Store)
		if err != nil || len(history) != len(s.Spends) || history[0].CoinID != s.Eve ||
			history[len(history)-1].CoinID != s.Tip || !history[0].Root.IsZero() {
			t.Errorf("history %+v, %v", history, err)
		}
	}
	vectors.Count(t, "chain-lineage-mainnet.json", steps, 0)
}
