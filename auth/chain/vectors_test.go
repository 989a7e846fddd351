package chain_test

import (
	"encoding/hex"
	"strconv"
	"strings"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

// hex0x is bytes in hex, with 0x or without.
type hex0x []byte

func (h *hex0x) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(strings.TrimPrefix(string(text), "0x"))
	return err
}

func (h hex0x) hash() merkle.Hash { return merkle.Hash(h) }

type vectorCoin struct {
	Parent     hex0x  `json:"parent_coin_info"`
	PuzzleHash hex0x  `json:"puzzle_hash"`
	Amount     uint64 `json:"amount"`
}

func (c vectorCoin) coin() chain.Coin {
	return chain.Coin{Parent: c.Parent.hash(), PuzzleHash: c.PuzzleHash.hash(), Amount: c.Amount}
}

type vectorSpend struct {
	Coin     vectorCoin `json:"coin"`
	Puzzle   hex0x      `json:"puzzle_reveal"`
	Solution hex0x      `json:"solution"`
}

func (s vectorSpend) spend() *chain.CoinSpend {
	return &chain.CoinSpend{Coin: s.Coin.coin(), Puzzle: s.Puzzle, Solution: s.Solution}
}

type vectorMetadata struct {
	Root        merkle.Hash `json:"root_hash"`
	Label       *string     `json:"label"`
	Description *string     `json:"description"`
	Bytes       *uint64     `json:"bytes"`
}

func (m vectorMetadata) metadata() chain.Metadata {
	return chain.Metadata{Root: m.Root, Label: m.Label, Description: m.Description, Bytes: m.Bytes}
}

type vectorDelegate struct {
	Type  string      `json:"type"`
	Inner merkle.Hash `json:"inner_puzzle_hash"`
	Pays  merkle.Hash `json:"payment_puzzle_hash"`
	Fee   uint64      `json:"fee"`
}

func delegates(t *testing.T, list []vectorDelegate) []chain.Delegate {
	t.Helper()
	var out []chain.Delegate
	for _, d := range list {
		switch d.Type {
		case "admin":
			out = append(out, chain.Delegate{Role: chain.RoleAdmin, Puzzle: d.Inner})
		case "writer":
			out = append(out, chain.Delegate{Role: chain.RoleWriter, Puzzle: d.Inner})
		case "oracle":
			out = append(out, chain.Delegate{Role: chain.RoleOracle, Puzzle: d.Pays, Fee: d.Fee})
		default:
			t.Fatalf("a delegate of type %q", d.Type)
		}
	}
	return out
}

func TestVectorsIDs(t *testing.T) {
	var file struct {
		Note, Source string
		Cases        []struct {
			Kind       string         `json:"kind"`
			Parent     merkle.Hash    `json:"parent_coin_info"`
			Puzzle     merkle.Hash    `json:"puzzle_hash"`
			Amount     string         `json:"amount"`
			Coin       merkle.Hash    `json:"coin_id"`
			Synthetic  auth.PublicKey `json:"synthetic_public_key"`
			Inner      merkle.Hash    `json:"inner_puzzle_hash"`
			Asset      merkle.Hash    `json:"asset_id"`
			CAT        merkle.Hash    `json:"cat_puzzle_hash"`
			Address    string         `json:"address"`
			Owner      merkle.Hash    `json:"owner_puzzle_hash"`
			Hint       merkle.Hash    `json:"owner_hint"`
			Master     auth.PublicKey `json:"master_public_key"`
			Derivation string         `json:"derivation"`
			Wallet     auth.PublicKey `json:"wallet_public_key"`
		}
	}
	vectors.Load(t, "chain-ids.json", &file)
	for i, c := range file.Cases {
		t.Run(c.Kind+"/"+strconv.Itoa(i), func(t *testing.T) {
			switch c.Kind {
			case "coin_id":
				amount, err := strconv.ParseUint(c.Amount, 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				if got := (chain.Coin{Parent: c.Parent, PuzzleHash: c.Puzzle,
					Amount: amount}).ID(); got != c.Coin {
					t.Errorf("id %v, want %v", got, c.Coin)
				}
			case "standard_puzzle_hash":
				if got := chain.StandardPuzzleHash(c.Synthetic); got != c.Puzzle {
					t.Errorf("puzzle hash %v, want %v", got, c.Puzzle)
				}
			case "cat_puzzle_hash":
				if got := chain.CATPuzzleHash(c.Asset, c.Inner); got != c.CAT {
					t.Errorf("puzzle hash %v, want %v", got, c.CAT)
				}
				if c.Asset != chain.DIG() {
					t.Errorf("asset %v, want DIG's %v", c.Asset, chain.DIG())
				}
			case "address":
				prefix, puzzle, err := chain.ParseAddress(c.Address)
				if err != nil || puzzle != c.Puzzle {
					t.Errorf("parsed %v, %v, want %v", puzzle, err, c.Puzzle)
				}
				if got := chain.Address(prefix, c.Puzzle); got != c.Address {
					t.Errorf("address %s, want %s", got, c.Address)
				}
			case "owner_hint":
				if got := chain.OwnerHint(c.Owner); got != c.Hint {
					t.Errorf("hint %v, want %v", got, c.Hint)
				}
			case "synthetic_key":
				got, err := chain.SyntheticKey(c.Wallet)
				if err != nil || got != c.Synthetic {
					t.Errorf("key %v, %v, want %v", got, err, c.Synthetic)
				}
				if got := chain.StandardPuzzleHash(got); got != c.Puzzle {
					t.Errorf("puzzle hash %v, want %v", got, c.Puzzle)
				}
			default:
				t.Fatalf("a case of kind %q", c.Kind)
			}
		})
	}
	vectors.Count(t, "chain-ids.json", len(file.Cases), 0)
}

func TestVectorsPuzzleHash(t *testing.T) {
	var file struct {
		Note, Source string
		Cases        []struct {
			Scenario     string
			Launcher     auth.StoreID     `json:"launcher_id"`
			Metadata     vectorMetadata   `json:"metadata"`
			MetadataHash merkle.Hash      `json:"metadata_tree_hash"`
			Owner        merkle.Hash      `json:"owner_puzzle_hash"`
			Delegates    []vectorDelegate `json:"delegated_puzzles"`
			Leaves       []merkle.Hash    `json:"leaf_hashes"`
			Layer        bool             `json:"delegation_layer"`
			Root         *merkle.Hash     `json:"merkle_root"`
			Inner        merkle.Hash      `json:"inner_puzzle_hash"`
			Store        merkle.Hash      `json:"store_puzzle_hash"`
		}
	}
	vectors.Load(t, "chain-store-puzzle-hash.json", &file)
	for _, c := range file.Cases {
		t.Run(c.Scenario, func(t *testing.T) {
			if got := c.Metadata.metadata().Hash(); got != c.MetadataHash {
				t.Errorf("metadata %v, want %v", got, c.MetadataHash)
			}
			list := delegates(t, c.Delegates)
			if len(list) != len(c.Leaves) {
				t.Fatalf("%d leaves for %d delegates", len(c.Leaves), len(list))
			}
			for i, d := range list {
				if got := d.Leaf(); got != c.Leaves[i] {
					t.Errorf("leaf %d is %v, want %v", i, got, c.Leaves[i])
				}
			}
			if got := chain.DelegatesRoot(list); c.Root != nil && got != *c.Root {
				t.Errorf("root of the delegates %v, want %v", got, *c.Root)
			}
			if got := chain.InnerPuzzleHash(c.Launcher, c.Owner, list); c.Layer == (len(list) > 0) &&
				got != c.Inner {
				t.Errorf("inner puzzle %v, want %v", got, c.Inner)
			}
			if got := chain.StorePuzzleHash(c.Launcher, c.Metadata.metadata(), c.Inner); got != c.Store {
				t.Errorf("store puzzle %v, want %v", got, c.Store)
			}
		})
	}
	vectors.Count(t, "chain-store-puzzle-hash.json", len(file.Cases), 0)
}
