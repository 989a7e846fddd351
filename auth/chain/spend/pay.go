package spend

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/internal/puzzle"
	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/merkle"
)

// A Fee is paid beside the other spends of a bundle.
type Fee struct {
	Payer  []Input // at least one; the rest returns to the first coin's key
	Amount uint64  // in mojos
	// Assert are coins that have to be spent in the same bundle, so that the fee is paid only
	// together with them. Nil means all coins that the draft spends so far.
	Assert []merkle.Hash
}

// Fee appends the payment of a fee. It is the last operation of a bundle, if Assert is nil. Errors
// are [ErrNoCoins], [ErrInsufficientFunds], [ErrAmount] and [ErrWrongKey].
func (d *Draft) Fee(f Fee) error {
	rest, err := pay(f.Payer, f.Amount)
	if err != nil {
		return fmt.Errorf("pay a fee: %w", err)
	}
	assert := f.Assert
	if assert == nil {
		for _, sp := range d.spends {
			assert = append(assert, sp.Coin.ID())
		}
	}
	lead := f.Payer[0]
	o := d.begin(f.Amount)
	o.others(f.Payer)
	conditions := append([]*clvm.Node{reserveFee(f.Amount)}, o.change(lead, rest, true)...)
	for _, id := range assert {
		conditions = append(conditions, concurrent(id))
	}
	o.standard(lead, conditions...)
	if err := o.commit(); err != nil {
		return fmt.Errorf("pay a fee: %w", err)
	}
	return nil
}

// A Send pays XCH to other puzzles.
type Send struct {
	Payer   []Input // at least one; the rest returns to the first coin's key, without a memo
	Outputs []Output
	Fee     uint64 // in mojos
}

// An Output is a coin that a payment makes.
type Output struct {
	PuzzleHash merkle.Hash
	Amount     uint64   // in mojos
	Memos      [][]byte // public; a first memo of 32 bytes is the hint
}

// Send appends a payment. Errors are [ErrNoCoins], [ErrInsufficientFunds], [ErrAmount] and
// [ErrWrongKey].
func (d *Draft) Send(s Send) error {
	if err := d.send(&s); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

func (d *Draft) send(s *Send) error {
	amounts := []uint64{s.Fee}
	for _, out := range s.Outputs {
		amounts = append(amounts, out.Amount)
	}
	rest, err := pay(s.Payer, amounts...)
	if err != nil {
		return err
	}
	lead := s.Payer[0]
	o := d.begin(s.Fee)
	conditions := []*clvm.Node{reserveFee(s.Fee)}
	for _, out := range s.Outputs {
		o.makes(lead.Coin.ID(), out.PuzzleHash, out.Amount)
		memos := make([]*clvm.Node, len(out.Memos))
		for i, m := range out.Memos {
			memos[i] = clvm.Atom(m)
		}
		conditions = append(conditions, createCoin(out.PuzzleHash, out.Amount, memos...))
	}
	conditions = append(conditions, o.change(lead, rest, false)...)
	o.standard(lead, conditions...)
	o.others(s.Payer)
	return o.commit()
}

// MaxConsolidated is the number of coins that one consolidation makes into one.
const MaxConsolidated = 50

// Consolidate appends a payment of the largest coins, at most MaxConsolidated, to the key of the
// largest, as one coin. Errors are those of Send, and [ErrNothingToDo] for fewer than two coins.
func (d *Draft) Consolidate(coins []Input, fee uint64) error {
	if len(coins) < 2 {
		return fmt.Errorf("consolidate: %w: %d coins", ErrNothingToDo, len(coins))
	}
	largest := slices.SortedFunc(slices.Values(coins), func(a, b Input) int {
		return compareCoins(a.Coin, b.Coin)
	})
	largest = largest[:min(len(largest), MaxConsolidated)]
	rest, err := pay(largest, fee)
	if err == nil && rest == 0 {
		err = &FundsError{Have: fee, Need: fee + 1}
	}
	if err != nil {
		return fmt.Errorf("consolidate: %w", err)
	}
	to := largest[0].Coin.PuzzleHash
	out := Output{PuzzleHash: to, Amount: rest, Memos: [][]byte{to[:]}}
	if err := d.send(&Send{Payer: largest, Outputs: []Output{out}, Fee: fee}); err != nil {
		return fmt.Errorf("consolidate: %w", err)
	}
	return nil
}

// compareCoins orders coins by amount, the largest first, and then by id.
func compareCoins(a, b chain.Coin) int {
	if a.Amount != b.Amount {
		return cmp.Compare(b.Amount, a.Amount)
	}
	return a.ID().Compare(b.ID())
}

// A Payment pays an asset, such as [chain.DIG], for a store. Whether a payment is due, how much,
// and to whom is not part of this library; see [Treasury] for the usual recipient of DIG.
type Payment struct {
	Key    auth.PublicKey // the synthetic key of all coins
	Coins  []AssetCoin    // at least one
	Asset  merkle.Hash
	To     merkle.Hash  // puzzle hash of the recipient, inside of the asset's layer
	Store  auth.StoreID // is written in a memo
	Amount uint64       // in base units of the asset
}

// An AssetCoin is a coin of an asset. Its lineage is that of the spend that made the coin; a coin
// at the puzzle hash of an asset whose parent is not of the asset cannot be spent.
type AssetCoin struct {
	Coin    chain.Coin
	Lineage Lineage
}

// Treasury returns the inner puzzle hash of the treasury of DIG on mainnet.
func Treasury() merkle.Hash {
	return hash("ec7c304708c7d59c078d5ae098d0dea004decf47fa1cafebb266c10ad6466ce8")
}

// Pay appends a payment in an asset. It pays no fee. Errors are [ErrNoCoins],
// [ErrInsufficientFunds], [ErrAmount] and [ErrWrongKey].
func (d *Draft) Pay(p Payment) error {
	if err := d.pay(&p); err != nil {
		return fmt.Errorf("pay asset %v: %w", p.Asset, err)
	}
	return nil
}

func (d *Draft) pay(p *Payment) error {
	own := chain.StandardPuzzleHash(p.Key)
	have, err := p.total(chain.CATPuzzleHash(p.Asset, own))
	if err != nil {
		return err
	}
	o := d.begin(0)
	o.payments = p.Amount
	first := p.Coins[0].Coin.ID()
	conditions := []*clvm.Node{createCoin(p.To, p.Amount, puzzle.Hash(p.To),
		puzzle.Hash(merkle.Hash(p.Store)))}
	o.makes(first, chain.CATPuzzleHash(p.Asset, p.To), p.Amount)
	if rest := have - p.Amount; rest > 0 {
		conditions = append(conditions, hinted(own, rest))
		o.makes(first, chain.CATPuzzleHash(p.Asset, own), rest)
	}
	// Each spend proves the sums of the spends before it. The first makes all coins.
	program := puzzle.NewCAT(p.Asset, puzzle.NewStandard(p.Key))
	subtotal := int64(0)
	for i, c := range p.Coins {
		before := p.Coins[(i+len(p.Coins)-1)%len(p.Coins)].Coin
		after := p.Coins[(i+1)%len(p.Coins)].Coin
		o.sign(c.Coin, p.Key, conditions)
		o.add(c.Coin, program, clvm.List(standardSolution(conditions), c.Lineage.node(),
			puzzle.Hash(before.ID()), coinNode(c.Coin.Parent, c.Coin.PuzzleHash, c.Coin.Amount),
			coinNode(after.Parent, own, after.Amount), clvm.Int(subtotal), clvm.Nil()))
		if i == 0 {
			subtotal = -int64(have)
		}
		subtotal += int64(c.Coin.Amount)
		conditions = []*clvm.Node{concurrent(first)}
	}
	return o.commit()
}

// total checks the coins and returns their sum.
func (p *Payment) total(puzzleHash merkle.Hash) (uint64, error) {
	if len(p.Coins) == 0 {
		return 0, ErrNoCoins
	}
	var have uint64
	for _, c := range p.Coins {
		if c.Coin.PuzzleHash != puzzleHash {
			return 0, fmt.Errorf("coin %v: %w: want puzzle hash %v of key %08x, found %v", c.Coin.ID(),
				ErrWrongKey, puzzleHash, p.Key.Fingerprint(), c.Coin.PuzzleHash)
		}
		if c.Coin.Amount > math.MaxInt64-have {
			return 0, fmt.Errorf("%w: the sum of the coins exceeds 63 bits", ErrAmount)
		}
		have += c.Coin.Amount
	}
	if have < p.Amount {
		return 0, &FundsError{Have: have, Need: p.Amount, Asset: p.Asset}
	}
	return have, nil
}

func coinNode(parent, puzzleHash merkle.Hash, amount uint64) *clvm.Node {
	return clvm.List(puzzle.Hash(parent), puzzle.Hash(puzzleHash), clvm.Uint(amount))
}
