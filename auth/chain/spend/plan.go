package spend

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/merkle"
)

// DefaultMaxFee is the limit of the fee of a bundle: 0.01 XCH.
const DefaultMaxFee = 10_000_000_000

// Limits bound what a plan may cost.
type Limits struct {
	// MaxFee is in mojos. Default: DefaultMaxFee.
	MaxFee uint64
	// MaxPayment is the limit of the sum of payments in assets, in base units. The default, 0,
	// allows none.
	MaxPayment uint64
}

// A Plan is a checked bundle without its signature. It is what a wallet signs, and what a dry run
// shows. It must not be changed.
type Plan struct {
	Network  Network
	Spends   []chain.CoinSpend
	Made     []chain.Coin // the coins that the spends make
	Fee      uint64       // in mojos
	Payments uint64       // sum of the payments in assets, in base units
	Cost     uint64       // an estimate from above: see Cost
	Steps    []Step       // what happens to stores
	Messages []Message    // what has to be signed, and by which keys
}

// Plan runs every puzzle of the draft and checks that the network would accept the spends, and that
// they do exactly what was asked for: the coins that they make, the fee, the keys that sign, and
// the state of every store. Nil limits have the defaults. Errors are [ErrInvalidBundle],
// [ErrFeeOverLimit] and that of the context. SPENDS.md section 7 lists the checks.
func (d *Draft) Plan(ctx context.Context, limits *Limits) (*Plan, error) {
	p, err := d.plan(ctx, limits)
	if err != nil {
		return nil, fmt.Errorf("check a bundle: %w", err)
	}
	return p, nil
}

func (d *Draft) plan(ctx context.Context, limits *Limits) (*Plan, error) {
	if limits == nil {
		limits = &Limits{}
	}
	if most := cmp.Or(limits.MaxFee, DefaultMaxFee); d.fee > most {
		return nil, fmt.Errorf("%w: fee of %d mojos, want at most %d", ErrFeeOverLimit, d.fee, most)
	}
	if d.payments > limits.MaxPayment {
		return nil, fmt.Errorf("%w: payments of %d units, want at most %d", ErrFeeOverLimit,
			d.payments, limits.MaxPayment)
	}
	effects, err := Run(ctx, d.network, d.spends)
	if err != nil {
		return nil, err
	}
	if effects.Fee != d.fee {
		return nil, invalid("fee of %d mojos, want %d", effects.Fee, d.fee)
	}
	if err := d.checkMade(effects.Made); err != nil {
		return nil, err
	}
	if err := d.checkMessages(effects.Messages); err != nil {
		return nil, err
	}
	for i := range d.steps {
		if err := d.checkStep(ctx, &d.steps[i]); err != nil {
			return nil, err
		}
	}
	p := &Plan{Network: d.network, Made: effects.Made, Fee: d.fee, Payments: d.payments,
		Cost: effects.Cost, Steps: slices.Clone(d.steps), Messages: effects.Messages}
	for _, sp := range d.spends {
		sp.Puzzle, sp.Solution = bytes.Clone(sp.Puzzle), bytes.Clone(sp.Solution)
		p.Spends = append(p.Spends, sp)
	}
	return p, nil
}

// checkMade checks that the spends make the expected coins and no other.
func (d *Draft) checkMade(made []chain.Coin) error {
	want := map[chain.Coin]bool{}
	for _, c := range d.made {
		want[c] = true
	}
	for _, c := range made {
		if !want[c] {
			return invalid("a coin of %d mojos with puzzle hash %v is made, and was not asked for",
				c.Amount, c.PuzzleHash)
		}
		delete(want, c)
	}
	for c := range want {
		return invalid("no coin of %d mojos with puzzle hash %v is made", c.Amount, c.PuzzleHash)
	}
	return nil
}

// checkMessages checks that the expected keys sign the expected conditions, each once for its coin.
func (d *Draft) checkMessages(messages []Message) error {
	if len(messages) != len(d.signers) {
		return invalid("%d signatures are needed, want %d", len(messages), len(d.signers))
	}
	for i, m := range messages {
		want := d.signers[i]
		if m.Opcode != condSigMe || m.Key != want.key || m.Coin != want.coin {
			return invalid("condition %d of coin %v with key %08x, want %d of coin %v with key %08x",
				m.Opcode, m.Coin, m.Key.Fingerprint(), condSigMe, want.coin, want.key.Fingerprint())
		}
		if !bytes.HasPrefix(m.Bytes, want.text[:]) {
			return invalid("key %08x signs other conditions for coin %v", m.Key.Fingerprint(), m.Coin)
		}
	}
	return nil
}

// checkStep reads a store's spend as package chain does, and compares the state field by field.
func (d *Draft) checkStep(ctx context.Context, step *Step) error {
	sp := &d.spends[step.spend]
	var found *chain.State
	var err error
	if step.Before == nil {
		found, err = chain.Launch(step.After.ID, sp)
	} else {
		found, err = step.Before.State().Next(ctx, sp)
	}
	if step.After == nil {
		if !errors.Is(err, chain.ErrMelted) {
			return invalid("the store %v is not melted: %v", step.Before.ID, err)
		}
		return nil
	}
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		return invalid("%w", err)
	}
	want := step.After.State()
	want.Generation, want.By = found.Generation, found.By
	if field := differs(want, found); field != "" {
		return invalid("store %v after the spend: %s is not what was asked for", want.Store, field)
	}
	return nil
}

// differs returns the name of the first field in which two states differ, "" if there is none.
func differs(want, found *chain.State) string {
	if len(want.Delegates) == 0 && len(found.Delegates) == 0 {
		want.Delegates, found.Delegates = nil, nil
	}
	a, b := reflect.ValueOf(*want), reflect.ValueOf(*found)
	for i := range a.NumField() {
		if !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			return a.Type().Field(i).Name
		}
	}
	return ""
}

// Bundle returns the bundle with the sum of signatures, of which each can be a sum: one wallet may
// sign for a writer and another for the fee. The error is [ErrSignature] if the sum is not valid
// for all messages.
func (p *Plan) Bundle(signatures ...auth.Signature) (*chain.Bundle, error) {
	sum, err := Combine(signatures...)
	if err != nil {
		return nil, err
	}
	if err := Verify(p.Messages, sum); err != nil {
		return nil, err
	}
	return &chain.Bundle{Spends: slices.Clone(p.Spends), Signature: sum}, nil
}

// Accept checks a bundle that another program completed: its spends must be those of the plan, byte
// for byte and in the same order, and its signature must be valid. Errors are [ErrChanged], which
// names the first difference, and [ErrSignature].
func (p *Plan) Accept(b *chain.Bundle) error {
	if len(b.Spends) != len(p.Spends) {
		return fmt.Errorf("%w: want %d spends, found %d", ErrChanged, len(p.Spends), len(b.Spends))
	}
	for i, want := range p.Spends {
		found := b.Spends[i]
		what := ""
		switch {
		case found.Coin != want.Coin:
			what = "coin"
		case !bytes.Equal(found.Puzzle, want.Puzzle):
			what = "puzzle"
		case !bytes.Equal(found.Solution, want.Solution):
			what = "solution"
		default:
			continue
		}
		return fmt.Errorf("%w: spend %d of coin %v has another %s", ErrChanged, i, want.Coin.ID(), what)
	}
	return Verify(p.Messages, b.Signature)
}

// MarshalJSON returns the plan for people and for wallets that sign elsewhere: network, fee, cost,
// payments, makes, stores, messages and coin_spends.
func (p *Plan) MarshalJSON() ([]byte, error) {
	type message struct {
		Key     auth.PublicKey `json:"public_key"`
		Coin    merkle.Hash    `json:"coin"`
		Message string         `json:"message"`
	}
	type store struct {
		ID     auth.StoreID  `json:"store"`
		Before *merkle.Hash  `json:"root_before,omitempty"`
		After  *merkle.Hash  `json:"root_after,omitempty"`
		Coin   *merkle.Hash  `json:"coin,omitempty"`
		Owner  *merkle.Hash  `json:"owner,omitempty"`
		Roles  []delegateDoc `json:"delegates,omitempty"`
		Melted bool          `json:"melted,omitempty"`
	}
	out := struct {
		Network  string            `json:"network"`
		Fee      uint64            `json:"fee"`
		Payments uint64            `json:"payments"`
		Cost     uint64            `json:"cost"`
		Made     []chain.Coin      `json:"makes"`
		Stores   []store           `json:"stores"`
		Messages []message         `json:"messages"`
		Spends   []chain.CoinSpend `json:"coin_spends"`
	}{p.Network.Name, p.Fee, p.Payments, p.Cost, p.Made, []store{}, []message{}, p.Spends}
	for _, m := range p.Messages {
		out.Messages = append(out.Messages, message{m.Key, m.Coin, fmt.Sprintf("%x", m.Bytes)})
	}
	for _, s := range p.Steps {
		doc := store{Melted: s.After == nil}
		if s.Before != nil {
			doc.ID, doc.Before = s.Before.ID, &s.Before.Metadata.Root
		}
		if s.After != nil {
			id := s.After.Coin.ID()
			doc.ID, doc.After, doc.Coin = s.After.ID, &s.After.Metadata.Root, &id
			doc.Owner = &s.After.Owner
			for _, d := range s.After.Delegates {
				doc.Roles = append(doc.Roles, delegateDoc{d.Role.String(), d.Puzzle, d.Fee})
			}
		}
		out.Stores = append(out.Stores, doc)
	}
	return json.Marshal(out)
}

type delegateDoc struct {
	Role   string      `json:"role"`
	Puzzle merkle.Hash `json:"puzzle_hash"`
	Fee    uint64      `json:"fee,omitempty"`
}
