package spend_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/spend"
	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/internal/vectors"
)

// goodDrafts returns a draft of each kind, with its plan.
func goodDrafts(t testing.TB) (drafts []*spend.Draft, plans []*spend.Plan) {
	t.Helper()
	w := newWorld(t)
	change := func(c spend.Change) *spend.Draft {
		d := draft()
		if _, err := d.Change(w.store, c); err != nil {
			t.Fatal(err)
		}
		if err := d.Fee(spend.Fee{Payer: w.other.coins(1, 100, 128), Amount: 50}); err != nil {
			t.Fatal(err)
		}
		return d
	}
	oracle, melt, pay, send := draft(), draft(), draft(), draft()
	_, err := oracle.Oracle(w.store, spend.OracleSpend{Payer: w.other.coins(2, 5000), Fee: 11})
	errs := []error{err, melt.Melt(w.store, w.owner.key, w.store.ID), pay.Pay(w.payment(2, 9, 4)),
		send.Send(spend.Send{Payer: w.owner.coins(1, 10, 20), Fee: 3, Outputs: []spend.Output{
			{PuzzleHash: w.other.hash, Amount: 20, Memos: [][]byte{w.other.hash[:]}}}})}
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	owns := &spend.Ownership{Owner: w.owner.hash, Delegates: w.delegates[:2]}
	drafts = []*spend.Draft{w.mint, oracle, melt, pay, send,
		change(spend.Change{By: chain.RoleOwner, Key: w.owner.key, Ownership: owns}),
		change(spend.Change{By: chain.RoleAdmin, Key: w.admin.key, Ownership: owns,
			Metadata: &chain.Metadata{Root: root(1)}}),
		change(spend.Change{By: chain.RoleWriter, Key: w.writer.key,
			Metadata: &chain.Metadata{Root: root(2)}})}
	for _, d := range drafts {
		plans = append(plans, plan(t, d))
	}
	return drafts, plans
}

// A mutator changes a bundle as its input says.
type mutator struct {
	in     []byte
	spends []chain.CoinSpend
}

func (m *mutator) byte() int {
	if len(m.in) == 0 {
		return 0
	}
	b := m.in[0]
	m.in = m.in[1:]
	return int(b)
}

// below returns a number below n, 0 for n 0.
func (m *mutator) below(n int) int {
	v := m.byte()<<8 | m.byte()
	if n == 0 {
		return 0
	}
	return v % n
}

// mutate returns the spends after at most four changes.
func mutate(spends []chain.CoinSpend, in []byte) []chain.CoinSpend {
	m := &mutator{in: in}
	for _, sp := range spends {
		sp.Puzzle, sp.Solution = bytes.Clone(sp.Puzzle), bytes.Clone(sp.Solution)
		m.spends = append(m.spends, sp)
	}
	for range 4 {
		if len(m.in) == 0 || len(m.spends) == 0 {
			break
		}
		m.once()
	}
	return m.spends
}

func (m *mutator) once() {
	i := m.below(len(m.spends))
	sp := &m.spends[i]
	part := &sp.Solution
	kind := m.byte()
	if kind >= 128 {
		part = &sp.Puzzle
	}
	if len(*part) == 0 {
		return
	}
	switch kind % 9 {
	case 0: // a byte
		(*part)[m.below(len(*part))] ^= byte(m.byte())
	case 1:
		at := m.below(len(*part))
		*part = slices.Delete(*part, at, at+1)
	case 2:
		*part = slices.Insert(*part, m.below(len(*part)+1), byte(m.byte()))
	case 3:
		m.spends = slices.Delete(m.spends, i, i+1)
	case 4:
		m.spends = append(m.spends, *sp)
	case 5:
		j := m.below(len(m.spends))
		m.spends[i], m.spends[j] = m.spends[j], m.spends[i]
	case 6:
		sp.Coin.Amount += uint64(int8(m.byte()))
	case 7:
		sp.Coin.Parent[m.below(32)] ^= byte(m.byte())
	default: // a part of the tree
		*part = m.tree(*part)
	}
}

// tree replaces one node of a serialized tree by another node of it, by a number, or by nothing.
func (m *mutator) tree(b []byte) []byte {
	n, err := clvm.Parse(b, nil)
	if err != nil {
		return b
	}
	var nodes []*clvm.Node
	for todo := []*clvm.Node{n}; len(todo) > 0 && len(nodes) < 1<<16; {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		nodes = append(nodes, at)
		if l, r, ok := at.Pair(); ok {
			todo = append(todo, r, l)
		}
	}
	at := m.below(len(nodes))
	with := nodes[m.below(len(nodes))]
	switch m.byte() % 3 {
	case 0:
		with = clvm.Int(int64(int8(m.byte())))
	case 1:
		if _, rest, ok := nodes[at].Pair(); ok {
			with = rest
		}
	}
	out, err := clvm.Append(nil, replace(n, &at, with), &clvm.Limits{Input: 1 << 16})
	if err != nil {
		return b
	}
	return out
}

// replace returns the tree with node number *at replaced. The numbers are those of tree.
func replace(n *clvm.Node, at *int, with *clvm.Node) *clvm.Node {
	*at--
	if *at == -1 {
		return with
	}
	l, r, ok := n.Pair()
	if !ok || *at < -1 {
		return n
	}
	l = replace(l, at, with)
	return clvm.Pair(l, replace(r, at, with))
}

// checkMutant checks that what Run accepts, the second reading of the rules accepts, and that what
// Plan accepts has exactly the effects of the plan. It reports whether each accepted it.
func checkMutant(t *testing.T, d *spend.Draft, p *spend.Plan, spends []chain.CoinSpend) (ran,
	planned bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	effects, err := spend.Run(ctx, p.Network, spends)
	if err != nil && !errors.Is(err, spend.ErrInvalidBundle) {
		t.Fatalf("run: %v", err)
	}
	if err == nil {
		ran = true
		if err := consensus(ctx, spends); err != nil {
			t.Errorf("Run accepts what the network refuses: %v", err)
		}
	}
	if len(spends) != len(p.Spends) {
		return ran, false
	}
	again, err := d.WithSpends(spends).Plan(ctx, &spend.Limits{MaxPayment: 1 << 62})
	if err != nil {
		return ran, false
	}
	if !ran || !reflect.DeepEqual(effects.Messages, p.Messages) || again.Fee != p.Fee ||
		!reflect.DeepEqual(sortCoins(again.Made), sortCoins(p.Made)) {
		t.Errorf("Plan accepts %+v, want the effects of %+v", again, p)
	}
	return ran, true
}

func sortCoins(list []chain.Coin) []chain.Coin {
	return slices.SortedFunc(slices.Values(list), func(a, b chain.Coin) int {
		return a.ID().Compare(b.ID())
	})
}

// FuzzPreflight changes good bundles.
func FuzzPreflight(f *testing.F) {
	drafts, plans := goodDrafts(f)
	for i := range drafts {
		f.Add(byte(i), []byte{})
		for kind := range 9 {
			f.Add(byte(i), []byte{0, byte(i), byte(kind), 0, byte(37 * i), 0, 7, 1, 1})
			f.Add(byte(i), []byte{0, byte(i), byte(128 + kind), 1, byte(37 * i), 0, 7, 1, 1})
		}
	}
	f.Fuzz(func(t *testing.T, which byte, in []byte) {
		i := int(which) % len(drafts)
		ran, planned := checkMutant(t, drafts[i], plans[i], mutate(plans[i].Spends, in))
		if len(in) == 0 && !(ran && planned) {
			t.Errorf("bundle %d is refused unchanged", i)
		}
	})
}

// TestMutants changes good bundles at random, and counts. Of the changes of signed parts and of
// coins, none passes. Only parts pass that the programs ignore, such as items at the end of a
// solution.
func TestMutants(t *testing.T) {
	drafts, plans := goodDrafts(t)
	part, parts := vectors.Part(t)
	rounds := 1_000
	if vectors.Long(t) {
		rounds = 40_000 / parts
	}
	seed := uint64(1 + part)
	r := rand.New(rand.NewPCG(seed, 0))
	var ran, planned, changed int
	for range rounds {
		i := r.IntN(len(drafts))
		in := make([]byte, 4+r.IntN(20))
		for k := range in {
			in[k] = byte(r.Uint32())
		}
		spends := mutate(plans[i].Spends, in)
		if reflect.DeepEqual(spends, plans[i].Spends) {
			continue
		}
		changed++
		a, b := checkMutant(t, drafts[i], plans[i], spends)
		if a {
			ran++
		}
		if b {
			planned++
		}
	}
	if ran == 0 || planned == changed {
		t.Errorf("of %d changed bundles Run accepts %d and Plan %d: want some, and not all", changed,
			ran, planned)
	}
	t.Logf("seed %d: %d bundles changed, Run accepts %d, Plan accepts %d", seed, changed, ran, planned)
}
