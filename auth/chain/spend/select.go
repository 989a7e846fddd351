package spend

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"github.com/dig-network/digstore/auth/chain"
)

// MaxSelected is the usual limit of coins in one payment.
const MaxSelected = 50

// Select chooses coins for an amount: the largest first, equal ones by id, until the sum reaches
// the amount. It returns their indices in that order, none for the amount 0. At most limit coins
// are chosen, MaxSelected if limit is 0 or less. Errors are [ErrNoCoins], [ErrInsufficientFunds]
// and [ErrTooManyCoins].
func Select(coins []chain.Coin, amount uint64, limit int) ([]int, error) {
	if limit <= 0 {
		limit = MaxSelected
	}
	if amount == 0 {
		return nil, nil
	}
	order, have := sorted(coins, compareCoins)
	if err := have.covers(len(coins), amount); err != nil {
		return nil, err
	}
	return largest(coins, order, amount, limit)
}

// largest returns the first coins of an order that reach the amount.
func largest(coins []chain.Coin, order []int, amount uint64, limit int) ([]int, error) {
	var sum uint128
	for n, at := range order {
		if n == limit {
			break
		}
		if sum.add(coins[at].Amount); sum.reaches(amount) {
			return order[:n+1], nil
		}
	}
	return nil, fmt.Errorf("select %d: %w: the %d largest do not reach it", amount, ErrTooManyCoins,
		limit)
}

// sorted returns the indices of the coins in an order, and their sum.
func sorted(coins []chain.Coin, compare func(a, b chain.Coin) int) (order []int, sum uint128) {
	for i, c := range coins {
		order = append(order, i)
		sum.add(c.Amount)
	}
	slices.SortStableFunc(order, func(a, b int) int { return compare(coins[a], coins[b]) })
	return order, sum
}

// A uint128 is a sum of amounts.
type uint128 struct{ high, low uint64 }

func (v *uint128) add(amount uint64) {
	low, carry := bits.Add64(v.low, amount, 0)
	v.high, v.low = v.high+carry, low
}

func (v *uint128) sub(amount uint64) {
	low, borrow := bits.Sub64(v.low, amount, 0)
	v.high, v.low = v.high-borrow, low
}

func (v uint128) reaches(amount uint64) bool { return v.high > 0 || v.low >= amount }

func (v uint128) compare(o uint128) int {
	return cmp.Or(cmp.Compare(v.high, o.high), cmp.Compare(v.low, o.low))
}

// covers returns the error of n coins with the sum v for an amount.
func (v uint128) covers(n int, amount uint64) error {
	switch {
	case n == 0:
		return fmt.Errorf("select %d: %w", amount, ErrNoCoins)
	case !v.reaches(amount):
		return fmt.Errorf("select: %w", &FundsError{Have: v.low, Need: amount})
	}
	return nil
}

// maxKnapsack is the limit of the driver.
const maxKnapsack = 500

// SelectKnapsack chooses coins as the function selectCoins of @dignetwork/datalayer-driver does,
// and exists to reproduce its spends. It uses a fixed stream of bits, so the choice is always the
// same. The driver's sort is unstable, so with more than 20 coins, of which some have equal
// amounts, the choices can differ. The errors are those of Select. See
// auth/chain/spend/SPENDS.md 6.2.
func SelectKnapsack(coins []chain.Coin, amount uint64) ([]int, error) {
	all, have := sorted(coins, func(a, b chain.Coin) int { return cmp.Compare(b.Amount, a.Amount) })
	if err := have.covers(len(coins), amount); err != nil {
		return nil, err
	}
	var smaller []int
	var sum uint128
	above := -1 // the smallest coin of at least the amount
	for _, at := range all {
		switch a := coins[at].Amount; {
		case a == amount:
			return []int{at}, nil
		case a < amount:
			smaller = append(smaller, at)
			sum.add(a)
		default:
			above = at
		}
	}
	switch order := sum.compare(uint128{0, amount}); {
	case order == 0 && len(smaller) < maxKnapsack && amount != 0:
		return smaller, nil
	case order > 0:
		k := knapsack{coins: coins, order: all, amount: amount, bits: newBits()}
		if chosen := k.search(); chosen != nil {
			return chosen, nil
		}
		return largest(coins, all, amount, maxKnapsack)
	case above >= 0:
		return []int{above}, nil
	}
	return nil, fmt.Errorf("select %d: %w", amount, ErrTooManyCoins)
}

// A knapsack is the search for the smallest sum that reaches an amount.
type knapsack struct {
	coins  []chain.Coin
	order  []int
	amount uint64
	bits   *randomBits

	chosen  []int
	present map[int]bool
	sum     uint128
	best    []int
	bestSum uint128
}

// search makes 1000 rounds and returns the best choice, nil if there is none.
func (k *knapsack) search() []int {
	k.bestSum = uint128{math.MaxUint64, math.MaxUint64}
	for range 1000 {
		k.chosen, k.present, k.sum = nil, map[int]bool{}, uint128{}
		exact, hit := k.pass(func(int) bool { return k.bits.next() })
		if !exact && !hit {
			exact, _ = k.pass(func(at int) bool { return !k.present[at] })
		}
		if exact {
			return k.chosen
		}
	}
	return k.best
}

// pass adds the coins that take accepts. exact means that the sum is the amount, hit that it
// exceeded it.
func (k *knapsack) pass(take func(at int) bool) (exact, hit bool) {
	for _, at := range k.order {
		if len(k.chosen) > maxKnapsack {
			return false, hit
		}
		if !take(at) {
			continue
		}
		k.chosen = append(k.chosen, at)
		k.present[at] = true
		k.sum.add(k.coins[at].Amount)
		switch order := k.sum.compare(uint128{0, k.amount}); {
		case order == 0:
			return true, hit
		case order > 0:
			hit = true
			k.improve(at)
		}
	}
	return false, hit
}

// improve keeps the choice, whose sum exceeds the amount, if it is the best so far. Only then it
// removes the last coin again.
func (k *knapsack) improve(last int) {
	if k.sum.compare(k.bestSum) >= 0 {
		return
	}
	k.best, k.bestSum = slices.Clone(k.chosen), k.sum
	k.chosen = k.chosen[:len(k.chosen)-1]
	delete(k.present, last)
	k.sum.sub(k.coins[last].Amount)
}

// randomBits is the driver's stream of bits: the top bit of each word of ChaCha with 8 rounds,
// whose key comes from a generator that begins at 0.
type randomBits struct {
	key     [8]uint32
	counter uint64
	words   [16]uint32
	used    int
}

func newBits() *randomBits {
	r := &randomBits{used: 16}
	var state uint64
	for i := range r.key {
		state = state*6364136223846793005 + 11634580027462260723
		x := uint32(((state >> 18) ^ state) >> 27)
		r.key[i] = bits.RotateLeft32(x, -int(state>>59))
	}
	return r
}

func (r *randomBits) next() bool {
	if r.used == len(r.words) {
		r.block()
		r.used = 0
	}
	r.used++
	return r.words[r.used-1]>>31 == 1
}

// block makes the next 16 words.
func (r *randomBits) block() {
	const constant = "expand 32-byte k"
	var start [16]uint32
	for i := range 4 {
		start[i] = binary.LittleEndian.Uint32([]byte(constant)[4*i:])
	}
	copy(start[4:], r.key[:])
	start[12], start[13] = uint32(r.counter), uint32(r.counter>>32)
	r.counter++
	w := start
	for range 4 { // two rounds each
		for i := range 4 {
			quarter(&w, i, 4+i, 8+i, 12+i)
		}
		for i := range 4 {
			quarter(&w, i, 4+(i+1)%4, 8+(i+2)%4, 12+(i+3)%4)
		}
	}
	for i := range w {
		r.words[i] = w[i] + start[i]
	}
}

func quarter(w *[16]uint32, a, b, c, d int) {
	w[a] += w[b]
	w[d] = bits.RotateLeft32(w[d]^w[a], 16)
	w[c] += w[d]
	w[b] = bits.RotateLeft32(w[b]^w[c], 12)
	w[a] += w[b]
	w[d] = bits.RotateLeft32(w[d]^w[a], 8)
	w[c] += w[d]
	w[b] = bits.RotateLeft32(w[b]^w[c], 7)
}
