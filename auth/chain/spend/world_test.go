package spend_test

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/spend"
	"github.com/dig-network/digstore/internal/bls"
	"github.com/dig-network/digstore/merkle"
)

// A party has a synthetic key, whose standard puzzle holds coins.
type party struct {
	secret *bls.SecretKey
	key    auth.PublicKey
	hash   merkle.Hash
}

func newParty(t testing.TB, name string) party {
	t.Helper()
	seed := sha256.Sum256([]byte(name))
	secret, err := bls.KeyGenV3(seed[:])
	if err != nil {
		t.Fatal(err)
	}
	key := auth.PublicKey(secret.PublicKey().Bytes())
	return party{secret, key, chain.StandardPuzzleHash(key)}
}

// coins are inputs of the party, whose parents differ by the number n.
func (p party) coins(n int, amounts ...uint64) []spend.Input {
	var list []spend.Input
	for i, a := range amounts {
		var parent merkle.Hash
		binary.BigEndian.PutUint64(parent[:], uint64(n)<<16|uint64(i))
		list = append(list, spend.Input{Key: p.key,
			Coin: chain.Coin{Parent: parent, PuzzleHash: p.hash, Amount: a}})
	}
	return list
}

// sign is the signer of several parties.
func sign(parties ...party) func(spend.Message) (auth.Signature, error) {
	return func(m spend.Message) (auth.Signature, error) {
		for _, p := range parties {
			if p.key == m.Key {
				return p.secret.Sign(bls.Augmented, m.Bytes).Bytes(), nil
			}
		}
		return auth.Signature{}, spend.ErrMissingKey
	}
}

// A world has the parties of the tests, and a store of the owner's with an admin, a writer and an
// oracle, minted in a draft of its own.
type world struct {
	owner, admin, writer, other party
	delegates                   []chain.Delegate
	mint                        *spend.Draft
	store                       *spend.Store
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{owner: newParty(t, "owner"), admin: newParty(t, "admin"),
		writer: newParty(t, "writer"), other: newParty(t, "other")}
	w.delegates = []chain.Delegate{{Role: chain.RoleAdmin, Puzzle: w.admin.hash},
		{Role: chain.RoleWriter, Puzzle: w.writer.hash},
		{Role: chain.RoleOracle, Puzzle: w.other.hash, Fee: 1000}}
	w.mint = spend.NewDraft(spend.Testnet11())
	var err error
	w.store, err = w.mint.Mint(spend.Mint{Payer: w.owner.coins(1, 10_000, 5), Owner: w.owner.hash,
		Delegates: w.delegates, Metadata: chain.Metadata{Label: ptr("label")}, Fee: 7})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func ptr[T any](v T) *T { return &v }

func root(n int) merkle.Hash { return merkle.Sum([]byte{byte(n), byte(n >> 8)}) }

// draft returns an empty draft on the network of the tests.
func draft() *spend.Draft { return spend.NewDraft(spend.Testnet11()) }

// plan checks a draft with a limit for payments that is never reached.
func plan(t testing.TB, d *spend.Draft) *spend.Plan {
	t.Helper()
	p, err := d.Plan(t.Context(), &spend.Limits{MaxPayment: 1 << 62})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// confirm plans a draft, signs it, and returns the bundle.
func (w *world) confirm(t testing.TB, d *spend.Draft) *chain.Bundle {
	t.Helper()
	p := plan(t, d)
	sum, err := spend.Sign(p.Messages, sign(w.owner, w.admin, w.writer, w.other))
	if err != nil {
		t.Fatal(err)
	}
	b, err := p.Bundle(sum)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// payment is a payment of an asset by its owner.
func (w *world) payment(amounts ...uint64) spend.Payment {
	asset := merkle.Hash{0xa5}
	p := spend.Payment{Key: w.owner.key, Asset: asset, To: w.other.hash, Store: w.store.ID, Amount: 3}
	for _, in := range w.owner.coins(9, amounts...) {
		lineage := spend.Lineage{Parent: merkle.Hash{7}, Inner: w.owner.hash, Amount: in.Coin.Amount}
		in.Coin.PuzzleHash = chain.CATPuzzleHash(asset, w.owner.hash)
		in.Coin.Parent = chain.Coin{Parent: lineage.Parent, PuzzleHash: in.Coin.PuzzleHash,
			Amount: lineage.Amount}.ID()
		p.Coins = append(p.Coins, spend.AssetCoin{Coin: in.Coin, Lineage: lineage})
	}
	return p
}
