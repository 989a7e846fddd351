package spend

import "github.com/dig-network/digstore/auth/chain"

// WithSpends returns the draft with other spends, and what is expected of them unchanged.
func (d *Draft) WithSpends(spends []chain.CoinSpend) *Draft {
	other := *d
	other.spends = spends
	return &other
}
