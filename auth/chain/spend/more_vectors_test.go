package spend_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/spend"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

// TestSelectVectors compares the choices of coins, in their order.
func TestSelectVectors(t *testing.T) {
	var file struct {
		Cases []struct {
			Name      string
			Algorithm string
			Cap       int
			Coins     []chain.Coin
			Amount    uint64
			Expect    struct {
				Error string
				Coins []int
			}
		}
	}
	vectors.Load(t, "chain-spend-select.json", &file)
	for _, c := range file.Cases {
		t.Run(c.Name, func(t *testing.T) {
			var got []int
			var err error
			if c.Algorithm == "knapsack" {
				got, err = spend.SelectKnapsack(c.Coins, c.Amount)
			} else {
				got, err = spend.Select(c.Coins, c.Amount, c.Cap)
			}
			if !errors.Is(err, vectorErrors()[c.Expect.Error]) || !slices.Equal(got, c.Expect.Coins) {
				t.Errorf("%v, error %v; want %v, error %q", got, err, c.Expect.Coins, c.Expect.Error)
			}
		})
	}
	vectors.Count(t, "chain-spend-select.json", len(file.Cases), 0)
}

// TestSignVectors compares messages and sums of signatures.
func TestSignVectors(t *testing.T) {
	var file struct {
		Cases []struct {
			Name      string
			Network   string
			Challenge merkle.Hash       `json:"agg_sig_data"`
			Keys      []vectors.Hex     `json:"secret_keys"`
			Spends    []chain.CoinSpend `json:"coin_spends"`
			Expect    struct {
				Error     string
				Signature auth.Signature `json:"aggregated_signature"`
				Messages  []struct {
					Key     auth.PublicKey `json:"public_key"`
					Message vectors.Hex
				}
			}
		}
	}
	vectors.Load(t, "chain-spend-sign.json", &file)
	for _, c := range file.Cases {
		t.Run(c.Name, func(t *testing.T) {
			n := network(t, c.Network)
			if n.Challenge != c.Challenge {
				t.Errorf("challenge %v, want %v", n.Challenge, c.Challenge)
			}
			var keys [][]byte
			for _, k := range c.Keys {
				keys = append(keys, k)
			}
			var sum auth.Signature
			effects, err := spend.Run(t.Context(), n, c.Spends)
			if err == nil {
				sum, err = spend.Sign(effects.Messages, signer(t, keys...))
			}
			if !errors.Is(err, vectorErrors()[c.Expect.Error]) || sum != c.Expect.Signature {
				t.Fatalf("%v, error %v; want %v, error %q", sum, err, c.Expect.Signature, c.Expect.Error)
			}
			if err != nil {
				return
			}
			for i, m := range effects.Messages {
				if want := c.Expect.Messages[i]; m.Key != want.Key || !bytes.Equal(m.Bytes, want.Message) {
					t.Errorf("message %d: %x by %v, want %x by %v", i, m.Bytes, m.Key, want.Message, want.Key)
				}
			}
			if err := spend.Verify(effects.Messages, sum); err != nil {
				t.Error(err)
			}
		})
	}
	vectors.Count(t, "chain-spend-sign.json", len(file.Cases), 0)
}

// TestFilterVectors compares the verdicts about conditions that no method of a draft writes.
func TestFilterVectors(t *testing.T) {
	var file struct{ Cases []spendCase }
	vectors.Load(t, "chain-spend-filter.json", &file)
	for i := range file.Cases {
		c := &file.Cases[i]
		t.Run(c.Name, func(t *testing.T) {
			effects, err := spend.Run(t.Context(), network(t, c.Network), c.Expect.Spends)
			if c.Expect.Consensus != "accepted" {
				if !errors.Is(err, spend.ErrInvalidBundle) {
					t.Errorf("error %v, want ErrInvalidBundle for %s", err, c.Expect.Consensus)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, coin := range c.Expect.Made {
				if !slices.Contains(effects.Made, coin) {
					t.Errorf("coins made: %v, want %v", effects.Made, c.Expect.Made)
				}
			}
			if err := spend.Verify(effects.Messages, c.Expect.Signature); err != nil {
				t.Error(err)
			}
		})
	}
	vectors.Count(t, "chain-spend-filter.json", len(file.Cases), 0)
}

// TestWalletVectors checks what the vectors of wallets say of public keys and addresses.
func TestWalletVectors(t *testing.T) {
	var file struct {
		Cases []struct {
			Name    string
			Kind    string
			Address string
			Expect  struct {
				Error      string
				Prefix     string
				PuzzleHash merkle.Hash `json:"puzzle_hash"`
				Wallet     []struct {
					Key        auth.PublicKey `json:"wallet_public_key"`
					Synthetic  auth.PublicKey `json:"synthetic_public_key"`
					PuzzleHash merkle.Hash    `json:"puzzle_hash"`
					XCH        string
					TXCH       string
				}
			}
		}
	}
	vectors.Load(t, "chain-keys-wallet.json", &file)
	passed := 0
	for _, c := range file.Cases {
		for _, w := range c.Expect.Wallet {
			key, err := chain.SyntheticKey(w.Key)
			hash := chain.StandardPuzzleHash(key)
			if err != nil || key != w.Synthetic || hash != w.PuzzleHash ||
				chain.Address(chain.PrefixXCH, hash) != w.XCH ||
				chain.Address(chain.PrefixTestnet, hash) != w.TXCH {
				t.Errorf("%s: key %v of %v, puzzle hash %v, error %v; want %v, %v", c.Name, key, w.Key, hash,
					err, w.Synthetic, w.PuzzleHash)
			}
		}
		if len(c.Expect.Wallet) > 0 {
			passed++
		}
		if c.Kind != "address" {
			continue
		}
		passed++
		own, other := spend.Mainnet(), spend.Testnet11()
		if c.Expect.Prefix == other.Prefix {
			own, other = other, own
		}
		hash, err := own.PuzzleHash(c.Address)
		if !errors.Is(err, vectorErrors()[c.Expect.Error]) || hash != c.Expect.PuzzleHash {
			t.Errorf("%s: %v, error %v; want %v, %q", c.Name, hash, err, c.Expect.PuzzleHash,
				c.Expect.Error)
		}
		if _, err := other.PuzzleHash(c.Address); err == nil ||
			c.Expect.Error == "" && !errors.Is(err, spend.ErrWrongNetwork) {
			t.Errorf("%s on %s: %v, want ErrWrongNetwork", c.Name, other.Name, err)
		}
	}
	vectors.Count(t, "chain-keys-wallet.json", passed, len(file.Cases)-passed)
}
