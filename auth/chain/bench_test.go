package chain_test

import (
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/chaintest"
)

// BenchmarkNext measures one spend: parsing, hashing, running and computing the next coin.
func BenchmarkNext(b *testing.B) {
	c := chaintest.New(nil)
	standard := chaintest.Standard(auth.PublicKey{0xb0})
	writer := chaintest.Writer(standard)
	owned := c.Mint(chain.Metadata{}, standard)
	delegated := c.Mint(chain.Metadata{}, standard, writer, chaintest.Admin(standard))
	for _, bench := range []struct {
		name  string
		state *chain.State
		spend *chain.CoinSpend
	}{
		{"owner", owned.State(), owned.Solve(nil, chaintest.UpdateMetadata(chain.Metadata{Root: root(1)}), chaintest.CreateCoin(standard.Hash(), 1))},
		{"writer", delegated.State(), delegated.Solve(&writer, chaintest.UpdateMetadata(chain.Metadata{Root: root(1)}))},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.SetBytes(int64(len(bench.spend.Puzzle) + len(bench.spend.Solution)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := bench.state.Next(b.Context(), bench.spend); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
