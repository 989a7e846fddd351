package spend

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/internal/puzzle"
	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/merkle"
)

// A Draft collects the spends of one bundle. Each operation appends its spends, or returns an error
// and appends nothing. An operation can spend a store coin that an earlier one made, so that
// several steps of a store fit in one bundle. [Draft.Plan] checks the result.
//
// A Draft is not safe for concurrent use.
type Draft struct {
	network Network
	spends  []chain.CoinSpend
	spent   map[merkle.Hash]bool // ids of the coins of spends

	// What the spends are expected to do.
	signers  []signer     // in the order of the spends
	made     []chain.Coin // every coin that is made
	fee      uint64
	payments uint64 // sum of the payments in assets
	steps    []Step
}

// A signer is a key that has to sign for a coin, and the hash of the conditions that it signs.
type signer struct {
	coin merkle.Hash
	key  auth.PublicKey
	text merkle.Hash
}

// A Step is what a bundle does to a store.
type Step struct {
	Before *Store // nil for a mint
	After  *Store // nil for a melted store
	spend  int    // index of the spend that makes After
}

// NewDraft returns a draft without spends.
func NewDraft(network Network) *Draft {
	return &Draft{network: network, spent: map[merkle.Hash]bool{}}
}

// An Input is a coin that belongs to a key: its puzzle is the standard puzzle of the key, which is
// a synthetic key.
type Input struct {
	Coin chain.Coin
	Key  auth.PublicKey
}

// An operation is what one call of a method of Draft appends.
type operation struct {
	draft    *Draft
	spends   []chain.CoinSpend
	signers  []signer
	made     []chain.Coin
	fee      uint64
	payments uint64
	steps    []Step
}

func (d *Draft) begin(fee uint64) *operation { return &operation{draft: d, fee: fee} }

// add appends a spend.
func (o *operation) add(coin chain.Coin, program, solution *clvm.Node) {
	o.spends = append(o.spends, chain.CoinSpend{Coin: coin, Puzzle: serial(program),
		Solution: serial(solution)})
}

// standard appends the spend of an input. The conditions are signed.
func (o *operation) standard(in Input, conditions ...*clvm.Node) {
	o.sign(in.Coin, in.Key, conditions)
	o.add(in.Coin, puzzle.NewStandard(in.Key), standardSolution(conditions))
}

// others appends the spends of all inputs but the first. They only require that the first one,
// the lead, is spent.
func (o *operation) others(payer []Input) {
	if len(payer) < 2 {
		return
	}
	lead := payer[0].Coin.ID()
	for _, in := range payer[1:] {
		o.standard(in, concurrent(lead))
	}
}

// sign notes that a key signs conditions for a coin.
func (o *operation) sign(coin chain.Coin, key auth.PublicKey, conditions []*clvm.Node) {
	text := puzzle.Quote(clvm.List(conditions...)).TreeHash()
	o.signers = append(o.signers, signer{coin.ID(), key, text})
}

// makes notes a coin that a spend of parent makes.
func (o *operation) makes(parent, to merkle.Hash, amount uint64) {
	o.made = append(o.made, chain.Coin{Parent: parent, PuzzleHash: to, Amount: amount})
}

// change returns the condition that returns the rest to the lead's puzzle, or none if there is no
// rest. A hint is the puzzle hash.
func (o *operation) change(lead Input, rest uint64, hint bool) []*clvm.Node {
	if rest == 0 {
		return nil
	}
	o.makes(lead.Coin.ID(), lead.Coin.PuzzleHash, rest)
	if hint {
		return []*clvm.Node{hinted(lead.Coin.PuzzleHash, rest)}
	}
	return []*clvm.Node{createCoin(lead.Coin.PuzzleHash, rest)}
}

// commit appends the operation to the draft.
func (o *operation) commit() error {
	d := o.draft
	fee, carry := bits.Add64(d.fee, o.fee, 0)
	payments, carry2 := bits.Add64(d.payments, o.payments, 0)
	if carry+carry2 != 0 {
		return fmt.Errorf("%w: the fees of the bundle exceed 64 bits", ErrAmount)
	}
	now := map[merkle.Hash]bool{}
	for _, sp := range o.spends {
		id := sp.Coin.ID()
		if d.spent[id] || now[id] {
			return invalid("coin %v is spent twice", id)
		}
		now[id] = true
	}
	for id := range now {
		d.spent[id] = true
	}
	for i := range o.steps {
		o.steps[i].spend += len(d.spends)
	}
	d.spends = append(d.spends, o.spends...)
	d.signers = append(d.signers, o.signers...)
	d.made = append(d.made, o.made...)
	d.steps = append(d.steps, o.steps...)
	d.fee, d.payments = fee, payments
	return nil
}

// pay checks the inputs and returns what is left of them after the amounts.
func pay(payer []Input, amounts ...uint64) (rest uint64, err error) {
	if len(payer) == 0 {
		return 0, ErrNoCoins
	}
	var need, carry uint64
	for _, a := range amounts {
		if need, carry = bits.Add64(need, a, 0); carry != 0 {
			return 0, fmt.Errorf("%w: the sum of the payments exceeds 64 bits", ErrAmount)
		}
	}
	var have, high uint64
	for _, in := range payer {
		if err := in.check(); err != nil {
			return 0, err
		}
		have, carry = bits.Add64(have, in.Coin.Amount, 0)
		high += carry
	}
	if high == 0 && have < need {
		return 0, &FundsError{Have: have, Need: need}
	}
	rest, borrow := bits.Sub64(have, need, 0)
	if high != borrow {
		return 0, fmt.Errorf("%w: the change exceeds 64 bits", ErrAmount)
	}
	return rest, nil
}

// check checks that the coin has the standard puzzle of the key.
func (in Input) check() error {
	if want := chain.StandardPuzzleHash(in.Key); in.Coin.PuzzleHash != want {
		return fmt.Errorf("coin %v: %w: key %08x has puzzle hash %v, the coin %v", in.Coin.ID(),
			ErrWrongKey, in.Key.Fingerprint(), want, in.Coin.PuzzleHash)
	}
	return nil
}

// Spends returns a copy of the spends so far, unchecked.
func (d *Draft) Spends() []chain.CoinSpend { return slices.Clone(d.spends) }
