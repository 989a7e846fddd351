package chain_test

import (
	"testing"

	"github.com/dig-network/digstore/auth/chain"
)

// TestByRoot: ByRoot is true only for an authority that accepts only the newest root.
func TestByRoot(t *testing.T) {
	for _, c := range []struct {
		name   string
		a      chain.Authority
		byRoot bool
	}{
		{"store key", chain.StoreKey{}, false},
		{"on-chain key", chain.OnChainKey{}, false},
		{"tip", chain.TipRoot{}, true},
		{"all with tip", chain.All(chain.StoreKey{}, chain.TipRoot{}), true},
		{"all without", chain.All(chain.StoreKey{}, chain.OnChainKey{}), false},
		{"any with tip", chain.Any(chain.StoreKey{}, chain.TipRoot{}), false},
	} {
		if got := c.a.ByRoot(); got != c.byRoot {
			t.Errorf("%s: %v, want %v", c.name, got, c.byRoot)
		}
	}
}
