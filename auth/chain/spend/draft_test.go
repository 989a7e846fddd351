package spend_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/spend"
	"github.com/dig-network/digstore/merkle"
)

// TestWholeLife does everything to one store, within one bundle: mint, updates by each role, other
// delegates, an oracle, a transfer, and melting, with a payment and a fee.
func TestWholeLife(t *testing.T) {
	w := newWorld(t)
	d, s := w.mint, w.store
	var err error
	step := func(next *spend.Store, e error) {
		t.Helper()
		if e != nil {
			t.Fatal(e)
		}
		s = next
	}
	update := func(by chain.Role, p party, n int) {
		t.Helper()
		step(d.Change(s, spend.Change{By: by, Key: p.key, Metadata: &chain.Metadata{Root: root(n)},
			Parent: ptr(s.Metadata.Root)}))
	}
	update(chain.RoleOwner, w.owner, 1)
	update(chain.RoleAdmin, w.admin, 2)
	update(chain.RoleWriter, w.writer, 3)
	step(d.Oracle(s, spend.OracleSpend{Payer: w.other.coins(2, 5000), Fee: 11}))
	// Metadata and delegates in one spend.
	step(d.Change(s, spend.Change{By: chain.RoleAdmin, Key: w.admin.key,
		Metadata: &chain.Metadata{Root: root(4)},
		Ownership: &spend.Ownership{Owner: w.owner.hash, Delegates: []chain.Delegate{
			{Role: chain.RoleWriter, Puzzle: w.other.hash}, w.delegates[0]}}}))
	update(chain.RoleWriter, w.other, 5)
	// An admin removes all, and the owner spends the layer that stays.
	step(d.Change(s, spend.Change{By: chain.RoleAdmin, Key: w.admin.key, RemoveAll: true,
		Ownership: &spend.Ownership{Owner: w.owner.hash}}))
	if !s.Layered {
		t.Error("the delegation layer is gone")
	}
	update(chain.RoleOwner, w.owner, 6)
	step(d.Transfer(s, spend.Transfer{Key: w.owner.key, Owner: w.other.hash}))
	if s.Layered || s.Owner != w.other.hash || len(s.Delegates) > 0 {
		t.Errorf("after the transfer: %+v", s)
	}
	update(chain.RoleOwner, w.other, 7)
	if err = d.Pay(w.payment(2, 9)); err != nil {
		t.Fatal(err)
	}
	if err = d.Melt(s, w.other.key, s.ID); err != nil {
		t.Fatal(err)
	}
	if err = d.Fee(spend.Fee{Payer: w.writer.coins(3, 100, 200), Amount: 250}); err != nil {
		t.Fatal(err)
	}
	p := plan(t, d)
	if want := uint64(7 + 11 + 1 + 250); p.Fee != want || p.Payments != 3 || len(p.Steps) != 12 {
		t.Errorf("fee %d, payments %d, %d steps; want %d, 3, 12", p.Fee, p.Payments, len(p.Steps), want)
	}
	if err := consensus(t.Context(), p.Spends); err != nil {
		t.Errorf("the second reading of the rules: %v", err)
	}
	b := w.confirm(t, d)
	if err := p.Accept(b); err != nil {
		t.Error(err)
	}
	// The fee is paid only together with every spend of the bundle.
	for i := range b.Spends[:len(b.Spends)-2] {
		rest := slices.Delete(slices.Clone(b.Spends), i, i+1)
		if _, err := spend.Run(t.Context(), spend.Testnet11(), rest); !errors.Is(err,
			spend.ErrInvalidBundle) {
			t.Errorf("without spend %d: %v, want ErrInvalidBundle", i, err)
		}
	}
}

// TestRefused: each operation that is not possible is its error, and leaves the draft as it was.
func TestRefused(t *testing.T) {
	w := newWorld(t)
	owner := func(c spend.Change) func(*spend.Draft) error {
		c.By, c.Key = chain.RoleOwner, w.owner.key
		return func(d *spend.Draft) error { _, err := d.Change(w.store, c); return err }
	}
	mint := func(m spend.Mint) func(*spend.Draft) error {
		return func(d *spend.Draft) error { _, err := d.Mint(m); return err }
	}
	metadata := func(m chain.Metadata) func(*spend.Draft) error {
		return owner(spend.Change{Metadata: &m})
	}
	give := func(list ...chain.Delegate) func(*spend.Draft) error {
		return owner(spend.Change{Ownership: &spend.Ownership{Owner: w.owner.hash, Delegates: list}})
	}
	pay := func(p spend.Payment) func(*spend.Draft) error {
		return func(d *spend.Draft) error { return d.Pay(p) }
	}
	long := func(n int) *string { return ptr(strings.Repeat("x", n)) }
	broken := *w.store
	broken.Owner = w.other.hash
	even := *w.store
	even.Coin.Amount = 2
	stolen := w.other.coins(4, 10)
	stolen[0].Key = w.owner.key
	big := w.owner.coins(5, 1<<63, 1<<63, 1<<63)
	asset := w.payment(2, 9)
	foreign := w.payment(2, 9)
	foreign.Coins[1].Coin.PuzzleHash = w.owner.hash
	poor, huge := asset, w.payment(1<<62, 1<<62)
	poor.Amount = 12
	for name, c := range map[string]struct {
		do   func(*spend.Draft) error
		want error
	}{
		"other root": {owner(spend.Change{Parent: ptr(root(9)),
			Metadata: &chain.Metadata{}}), spend.ErrConflict},
		"no change":        {owner(spend.Change{}), spend.ErrNotPermitted},
		"long label":       {metadata(chain.Metadata{Label: long(1025)}), spend.ErrMetadata},
		"long description": {metadata(chain.Metadata{Description: long(8193)}), spend.ErrMetadata},
		"long size proof":  {metadata(chain.Metadata{SizeProof: long(1025)}), spend.ErrMetadata},
		"not UTF-8":        {metadata(chain.Metadata{Label: ptr("\xff")}), spend.ErrMetadata},
		"a program":        {metadata(chain.Metadata{Program: &merkle.Hash{}}), spend.ErrMetadata},
		"a size bucket":    {metadata(chain.Metadata{SizeBucket: ptr(uint64(1))}), spend.ErrMetadata},
		"mint: long label": {mint(spend.Mint{Payer: w.owner.coins(1, 9),
			Metadata: chain.Metadata{Label: long(1025)}}), spend.ErrMetadata},
		"65 delegates":      {give(make([]chain.Delegate, 65)...), spend.ErrDelegates},
		"owner as delegate": {give(chain.Delegate{Role: chain.RoleOwner}), spend.ErrDelegates},
		"writer with a fee": {give(chain.Delegate{Role: chain.RoleWriter, Fee: 2}), spend.ErrDelegates},
		"odd fee":           {give(chain.Delegate{Role: chain.RoleOracle, Fee: 3}), spend.ErrOddFee},
		"mint: odd fee": {mint(spend.Mint{Payer: w.owner.coins(1, 9),
			Delegates: []chain.Delegate{{Role: chain.RoleOracle, Fee: 1}}}), spend.ErrOddFee},
		"mint: another's coin":  {mint(spend.Mint{Payer: stolen}), spend.ErrWrongKey},
		"mint: too much change": {mint(spend.Mint{Payer: big}), spend.ErrAmount},
		"mint: one coin twice": {mint(spend.Mint{Payer: slices.Concat(w.owner.coins(1, 9),
			w.owner.coins(1, 9))}), spend.ErrInvalidBundle},
		"writer changes delegates": {func(d *spend.Draft) error {
			_, err := d.Change(w.store, spend.Change{By: chain.RoleWriter, Key: w.writer.key,
				Ownership: &spend.Ownership{Owner: w.owner.hash, Delegates: w.delegates}})
			return err
		}, spend.ErrNotPermitted},
		"an oracle changes": {func(d *spend.Draft) error {
			_, err := d.Change(w.store, spend.Change{By: chain.RoleOracle, Key: w.other.key,
				Metadata: &chain.Metadata{}})
			return err
		}, spend.ErrNotPermitted},
		"not the coin": {func(d *spend.Draft) error {
			_, err := d.Transfer(&broken, spend.Transfer{Key: w.other.key})
			return err
		}, spend.ErrStore},
		"melt, not the coin": {func(d *spend.Draft) error {
			return d.Melt(&broken, w.other.key, broken.ID)
		}, spend.ErrStore},
		"oracle, not the coin": {func(d *spend.Draft) error {
			_, err := d.Oracle(&broken, spend.OracleSpend{Payer: w.owner.coins(2, 2000)})
			return err
		}, spend.ErrStore},
		"even amount": {func(d *spend.Draft) error {
			_, err := d.Transfer(&even, spend.Transfer{Key: w.owner.key})
			return err
		}, spend.ErrStore},
		"melt without its id": {func(d *spend.Draft) error {
			return d.Melt(w.store, w.owner.key, auth.StoreID{})
		}, spend.ErrUnconfirmed},
		"second oracle": {func(d *spend.Draft) error {
			_, err := d.Oracle(w.store, spend.OracleSpend{Payer: w.owner.coins(2, 2000), Oracle: 1})
			return err
		}, spend.ErrNoOracle},
		"oracle below 0": {func(d *spend.Draft) error {
			_, err := d.Oracle(w.store, spend.OracleSpend{Payer: w.owner.coins(2, 2000), Oracle: -1})
			return err
		}, spend.ErrNoOracle},
		"fee without coins": {func(d *spend.Draft) error {
			return d.Fee(spend.Fee{})
		}, spend.ErrNoCoins},
		"send without coins": {func(d *spend.Draft) error {
			return d.Send(spend.Send{})
		}, spend.ErrNoCoins},
		"send too much": {func(d *spend.Draft) error {
			return d.Send(spend.Send{Payer: w.owner.coins(1, 9), Fee: 1<<64 - 1,
				Outputs: []spend.Output{{Amount: 1}}})
		}, spend.ErrAmount},
		"consolidate one": {func(d *spend.Draft) error {
			return d.Consolidate(w.owner.coins(1, 9), 0)
		}, spend.ErrNothingToDo},
		"consolidate to nothing": {func(d *spend.Draft) error {
			return d.Consolidate(w.owner.coins(1, 9, 1), 10)
		}, spend.ErrInsufficientFunds},
		"pay without coins":       {pay(spend.Payment{}), spend.ErrNoCoins},
		"pay with another's coin": {pay(foreign), spend.ErrWrongKey},
		"pay too much":            {pay(poor), spend.ErrInsufficientFunds},
		"sum over 63 bits":        {pay(huge), spend.ErrAmount},
	} {
		d := draft()
		if err := c.do(d); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if len(d.Spends()) > 0 {
			t.Errorf("%s: the draft has %d spends", name, len(d.Spends()))
		}
	}
}

// TestLimits: a plan over a limit is refused, and one at the limit is not.
func TestLimits(t *testing.T) {
	w := newWorld(t)
	fee := draft()
	if err := fee.Fee(spend.Fee{Payer: w.owner.coins(1, spend.DefaultMaxFee+1),
		Amount: spend.DefaultMaxFee + 1}); err != nil {
		t.Fatal(err)
	}
	payment := draft()
	if err := payment.Pay(w.payment(9)); err != nil {
		t.Fatal(err)
	}
	many := draft()
	var all []spend.Input
	for i := range spend.MaxSpends + 1 {
		all = append(all, w.owner.coins(i+10, 1)...)
	}
	if err := many.Send(spend.Send{Payer: all}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		draft  *spend.Draft
		limits *spend.Limits
		want   error
	}{
		"fee":                      {fee, nil, spend.ErrFeeOverLimit},
		"fee at its limit":         {fee, &spend.Limits{MaxFee: spend.DefaultMaxFee + 1}, nil},
		"payment without a limit":  {payment, nil, spend.ErrFeeOverLimit},
		"payment over its limit":   {payment, &spend.Limits{MaxPayment: 2}, spend.ErrFeeOverLimit},
		"payment at its limit":     {payment, &spend.Limits{MaxPayment: 3}, nil},
		"nothing":                  {draft(), nil, spend.ErrInvalidBundle},
		"more spends than allowed": {many, nil, spend.ErrInvalidBundle},
	} {
		if _, err := c.draft.Plan(t.Context(), c.limits); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// TestAccept: a bundle of another program is refused where it differs, with the difference named.
func TestAccept(t *testing.T) {
	w := newWorld(t)
	p := plan(t, w.mint)
	good := w.confirm(t, w.mint)
	if err := p.Accept(good); err != nil {
		t.Fatal(err)
	}
	flip := func(b *[]byte) {
		*b = slices.Clone(*b)
		(*b)[len(*b)/2] ^= 1
	}
	for what, c := range map[string]struct {
		change func(b *chain.Bundle)
		want   error
	}{
		"coin":      {func(b *chain.Bundle) { b.Spends[1].Coin.Amount++ }, spend.ErrChanged},
		"puzzle":    {func(b *chain.Bundle) { flip(&b.Spends[0].Puzzle) }, spend.ErrChanged},
		"solution":  {func(b *chain.Bundle) { flip(&b.Spends[2].Solution) }, spend.ErrChanged},
		"spends":    {func(b *chain.Bundle) { b.Spends = b.Spends[1:] }, spend.ErrChanged},
		"signature": {func(b *chain.Bundle) { b.Signature = spend.NoSignature() }, spend.ErrSignature},
		"canonical": {func(b *chain.Bundle) { b.Signature = auth.Signature{} }, spend.ErrSignature},
	} {
		b := &chain.Bundle{Spends: slices.Clone(good.Spends), Signature: good.Signature}
		c.change(b)
		if err := p.Accept(b); !errors.Is(err, c.want) || !strings.Contains(err.Error(), what) {
			t.Errorf("another %s: %v, want %v", what, err, c.want)
		}
	}
}

// TestSignatures: signatures of several wallets are added up, and a missing one is noticed.
func TestSignatures(t *testing.T) {
	w := newWorld(t)
	d := draft()
	if _, err := d.Change(w.store, spend.Change{By: chain.RoleWriter, Key: w.writer.key,
		Metadata: &chain.Metadata{Root: root(1)}}); err != nil {
		t.Fatal(err)
	}
	if err := d.Fee(spend.Fee{Payer: w.other.coins(1, 50), Amount: 50}); err != nil {
		t.Fatal(err)
	}
	p := plan(t, d)
	var parts []auth.Signature
	for _, who := range []party{w.writer, w.other} {
		var own []spend.Message
		for _, m := range p.Messages {
			if m.Key == who.key {
				own = append(own, m)
			}
		}
		sum, err := spend.Sign(own, sign(who))
		if err != nil || len(own) != 1 {
			t.Fatalf("%d messages, %v", len(own), err)
		}
		parts = append(parts, sum)
	}
	if _, err := p.Bundle(parts...); err != nil {
		t.Error(err)
	}
	if _, err := p.Bundle(parts[0]); !errors.Is(err, spend.ErrSignature) {
		t.Errorf("one of two: %v, want ErrSignature", err)
	}
	if _, err := p.Bundle(auth.Signature{1}); !errors.Is(err, spend.ErrSignature) {
		t.Errorf("malformed: %v, want ErrSignature", err)
	}
	_, err := spend.Sign(p.Messages, sign(w.writer))
	if !errors.Is(err, spend.ErrMissingKey) || !strings.Contains(err.Error(),
		p.Messages[1].Coin.String()) {
		t.Errorf("a missing key: %v, want ErrMissingKey with the coin", err)
	}
}

// TestConsolidate: the largest coins become one.
func TestConsolidate(t *testing.T) {
	w := newWorld(t)
	var amounts []uint64
	for i := range spend.MaxConsolidated + 10 {
		amounts = append(amounts, uint64(i+1))
	}
	d := draft()
	if err := d.Consolidate(w.owner.coins(1, amounts...), 5); err != nil {
		t.Fatal(err)
	}
	p := plan(t, d)
	want := uint64(0)
	for _, a := range amounts[10:] {
		want += a
	}
	if len(p.Spends) != spend.MaxConsolidated || len(p.Made) != 1 || p.Made[0].Amount != want-5 ||
		p.Made[0].PuzzleHash != w.owner.hash {
		t.Errorf("%d spends make %+v, want one coin of %d", len(p.Spends), p.Made, want-5)
	}
}

// TestPlanJSON: the document of a dry run has the figures that a person decides by.
func TestPlanJSON(t *testing.T) {
	w := newWorld(t)
	p := plan(t, w.mint)
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Network string
		Fee     uint64
		Stores  []struct {
			Store auth.StoreID
			Owner merkle.Hash
		}
		Messages []struct {
			Key auth.PublicKey `json:"public_key"`
		}
		Spends []chain.CoinSpend `json:"coin_spends"`
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if got.Network != "testnet11" || got.Fee != 7 || len(got.Stores) != 1 ||
		got.Stores[0].Store != w.store.ID || got.Stores[0].Owner != w.owner.hash ||
		len(got.Messages) != 2 || got.Messages[0].Key != w.owner.key ||
		gocmp.Diff(got.Spends, p.Spends) != "" {
		t.Errorf("%s", text)
	}
}
