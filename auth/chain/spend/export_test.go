package spend

import (
	"slices"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
)

// WithSpends returns the draft with other spends, and what is expected of them unchanged.
func (d *Draft) WithSpends(spends []chain.CoinSpend) *Draft {
	other := *d
	other.spends = spends
	return &other
}

// WithMade returns the draft with one more coin expected.
func (d *Draft) WithMade(coin chain.Coin) *Draft {
	other := *d
	other.made = append(slices.Clone(d.made), coin)
	return &other
}

// WithKey returns the draft with another key expected to sign first.
func (d *Draft) WithKey(key auth.PublicKey) *Draft {
	other := *d
	other.signers = slices.Clone(d.signers)
	other.signers[0].key = key
	return &other
}

// WithAfter returns the draft with another store expected after its only step, or with nil none.
func (d *Draft) WithAfter(change func(*Store)) *Draft {
	other := *d
	step := d.steps[0]
	if change == nil {
		step.Before, step.After = step.After, nil
	} else {
		after := *step.After
		change(&after)
		step.After = &after
	}
	other.steps = []Step{step}
	return &other
}
