package spend_test

import (
	"context"
	"fmt"
	"log"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/spend"
	"github.com/dig-network/digstore/internal/bls"
	"github.com/dig-network/digstore/merkle"
)

// Mint a store, and update it in the same bundle.
func Example() {
	secret, err := bls.KeyGenV3(make([]byte, 32)) // a wallet's synthetic key
	if err != nil {
		log.Fatal(err)
	}
	key := auth.PublicKey(secret.PublicKey().Bytes())
	own := chain.StandardPuzzleHash(key)
	coins := []spend.Input{{Key: key, Coin: chain.Coin{PuzzleHash: own, Amount: 1_000_000}}}

	d := spend.NewDraft(spend.Testnet11())
	label := "photos"
	store, err := d.Mint(spend.Mint{Payer: coins, Owner: own, Fee: 1000,
		Metadata: chain.Metadata{Label: &label}})
	if err != nil {
		log.Fatal(err)
	}
	_, err = d.Change(store, spend.Change{By: chain.RoleOwner, Key: key,
		Metadata: &chain.Metadata{Root: merkle.Sum([]byte("content")), Label: &label}})
	if err != nil {
		log.Fatal(err)
	}
	plan, err := d.Plan(context.Background(), nil)
	if err != nil {
		log.Fatal(err)
	}
	sum, err := spend.Sign(plan.Messages, func(m spend.Message) (auth.Signature, error) {
		if m.Key != key {
			return auth.Signature{}, spend.ErrMissingKey
		}
		return secret.Sign(bls.Augmented, m.Bytes).Bytes(), nil
	})
	if err != nil {
		log.Fatal(err)
	}
	bundle, err := plan.Bundle(sum)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("store", store.ID)
	fmt.Println(len(bundle.Spends), "spends,", len(plan.Made), "coins made, fee", plan.Fee)
	for _, s := range plan.Steps {
		fmt.Println("root", s.After.Metadata.Root)
	}
	// Output:
	// store b6536b52433cfe03fe81fbbaa4097c54f0f8dbd2b456d87b6c46d1f102ebfd6d
	// 3 spends, 4 coins made, fee 1000
	// root 0000000000000000000000000000000000000000000000000000000000000000
	// root ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73
}

// A payer's coins are chosen by their amounts.
func ExampleSelect() {
	coins := []chain.Coin{{Amount: 5}, {Amount: 100}, {Amount: 40}}
	chosen, err := spend.Select(coins, 120, 0)
	fmt.Println(chosen, err)
	_, err = spend.Select(coins, 146, 0)
	fmt.Println(err)
	// Output:
	// [1 2] <nil>
	// select: insufficient funds: want 146 mojos, found 145
}

// An address of another network is refused.
func ExampleNetwork_PuzzleHash() {
	_, err := spend.Mainnet().PuzzleHash(
		"txch1mqxfh7gs79z88rhesdeyhszt667n7979eqld27ldacd3hyncaqgs9hcmer")
	fmt.Println(err)
	// Output:
	// address of another network: want prefix xch for mainnet, found txch
}
