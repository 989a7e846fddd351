package spend_test

import (
	"testing"

	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/spend"
)

// twenty builds the mint of a store with a writer and 20 updates by the writer, and checks it.
func twenty(t testing.TB, w *world) *spend.Plan {
	t.Helper()
	d := draft()
	s, err := d.Mint(spend.Mint{Payer: w.owner.coins(1, 10_000), Owner: w.owner.hash,
		Delegates: w.delegates, Fee: 100})
	for i := range 20 {
		if err != nil {
			t.Fatal(err)
		}
		s, err = d.Change(s, spend.Change{By: chain.RoleWriter, Key: w.writer.key,
			Metadata: &chain.Metadata{Root: root(i)}})
	}
	if err != nil {
		t.Fatal(err)
	}
	return plan(t, d)
}

// BenchmarkTwentyUpdates measures a mint and 20 updates, built and checked.
func BenchmarkTwentyUpdates(b *testing.B) {
	w := newWorld(b)
	for b.Loop() {
		twenty(b, w)
	}
}

// BenchmarkTwentyUpdatesSigned adds the signatures, and the check of their sum.
func BenchmarkTwentyUpdatesSigned(b *testing.B) {
	w := newWorld(b)
	for b.Loop() {
		p := twenty(b, w)
		sum, err := spend.Sign(p.Messages, sign(w.owner, w.writer))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.Bundle(sum); err != nil {
			b.Fatal(err)
		}
	}
}
