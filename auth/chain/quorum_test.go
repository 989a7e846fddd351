package chain_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/chaintest"
	"github.com/dig-network/digstore/merkle"
)

// A party is one source of a quorum: a chain with a name and functions that alter its answers. A
// nil function changes nothing.
type party struct {
	*chaintest.Chain
	name    string
	down    error
	record  func(*chain.CoinRecord) *chain.CoinRecord
	spend   func(*chain.CoinSpend) *chain.CoinSpend
	block   func(*chain.Block) *chain.Block
	list    func([]chain.CoinRecord) []chain.CoinRecord
	network string
}

func (p *party) String() string { return p.name }

func alter[T any](v T, err, down error, f func(T) T) (T, error) {
	var none T
	if down != nil {
		return none, down
	}
	if f != nil && err == nil {
		v = f(v)
	}
	return v, err
}

func (p *party) CoinRecord(ctx context.Context, id merkle.Hash) (*chain.CoinRecord, error) {
	v, err := p.Chain.CoinRecord(ctx, id)
	return alter(v, err, p.down, p.record)
}

func (p *party) CoinSpend(ctx context.Context, id merkle.Hash, height uint32) (*chain.CoinSpend,
	error) {
	v, err := p.Chain.CoinSpend(ctx, id, height)
	return alter(v, err, p.down, p.spend)
}

func (p *party) Peak(ctx context.Context) (*chain.Block, error) {
	v, err := p.Chain.Peak(ctx)
	return alter(v, err, p.down, p.block)
}

func (p *party) BlockAt(ctx context.Context, height uint32) (*chain.Block, error) {
	v, err := p.Chain.BlockAt(ctx, height)
	return alter(v, err, p.down, p.block)
}

func (p *party) ByHint(ctx context.Context, hint merkle.Hash, spent bool) ([]chain.CoinRecord,
	error) {
	v, err := p.Chain.ByHint(ctx, hint, spent)
	return alter(v, err, p.down, p.list)
}

func (p *party) ByPuzzleHash(ctx context.Context, puzzleHash merkle.Hash,
	spent bool) ([]chain.CoinRecord, error) {
	v, err := p.Chain.ByPuzzleHash(ctx, puzzleHash, spent)
	return alter(v, err, p.down, p.list)
}

func (p *party) Children(ctx context.Context, parents []merkle.Hash) ([]chain.CoinRecord, error) {
	v, err := p.Chain.Children(ctx, parents)
	return alter(v, err, p.down, p.list)
}

func (p *party) Network(ctx context.Context) (string, error) {
	if p.network != "" {
		return p.network, p.down
	}
	v, err := p.Chain.Network(ctx)
	return alter(v, err, p.down, nil)
}

// alike returns a chain with one store of three generations and n blocks above them. All
// results are equal.
func alike(n int) (*chaintest.Chain, *chaintest.Store) {
	now := time.Now()
	c := chaintest.New(&chaintest.Options{Network: chain.Mainnet, Now: func() time.Time {
		return now.Truncate(time.Hour)
	}})
	s := c.Mint(chain.Metadata{}, chaintest.Anyone(1))
	for i := 1; i <= 2; i++ {
		s.Update(root(i))
	}
	c.Coin(chaintest.Anyone(7).Hash(), 12)
	c.Farm(n)
	return c, s
}

// parties returns three sources of the same chain: a, b and c.
func parties(t *testing.T) (three []*party, s *chaintest.Store) {
	t.Helper()
	for _, name := range []string{"a", "b", "c"} {
		var c *chaintest.Chain
		c, s = alike(4)
		three = append(three, &party{Chain: c, name: name})
	}
	return three, s
}

func quorum(t *testing.T, parties []*party, o *chain.QuorumOptions) *chain.Quorum {
	t.Helper()
	var sources []chain.Source
	for _, p := range parties {
		sources = append(sources, p)
	}
	q, err := chain.NewQuorum(sources, o)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// unhurried returns the options of a resolver that does not use the clock.
func unhurried() *chain.Options { return &chain.Options{TipAge: -1, MaxSkew: -1} }

// lies returns the faults of a source. A majority of other sources overrules each of them.
func lies() map[string]func(*party) {
	otherHash := func(h merkle.Hash) merkle.Hash { h[3] ^= 1; return h }
	record := func(f func(*chain.CoinRecord)) func(*party) {
		return func(p *party) {
			p.record = func(r *chain.CoinRecord) *chain.CoinRecord {
				if r != nil {
					f(r)
				}
				return r
			}
			p.list = func(list []chain.CoinRecord) []chain.CoinRecord {
				for i := range list {
					f(&list[i])
				}
				return list
			}
		}
	}
	spend := func(f func(*chain.CoinSpend)) func(*party) {
		return func(p *party) {
			p.spend = func(sp *chain.CoinSpend) *chain.CoinSpend {
				if sp != nil {
					f(sp)
				}
				return sp
			}
		}
	}
	block := func(f func(*chain.Block)) func(*party) {
		return func(p *party) {
			p.block = func(b *chain.Block) *chain.Block {
				if b != nil {
					f(b)
				}
				return b
			}
		}
	}
	return map[string]func(*party){
		"is down":           func(p *party) { p.down = chain.ErrUnavailable },
		"refuses":           func(p *party) { p.down = chain.ErrRateLimited },
		"is malformed":      func(p *party) { p.down = chain.ErrMalformed },
		"other parent":      record(func(r *chain.CoinRecord) { r.Coin.Parent = otherHash(r.Coin.Parent) }),
		"other puzzle hash": record(func(r *chain.CoinRecord) { r.Coin.PuzzleHash = otherHash(r.Coin.PuzzleHash) }),
		"other amount":      record(func(r *chain.CoinRecord) { r.Coin.Amount += 2 }),
		"confirmed earlier": record(func(r *chain.CoinRecord) { r.Confirmed-- }),
		"confirmed later":   record(func(r *chain.CoinRecord) { r.Confirmed++ }),
		"hides the spend":   record(func(r *chain.CoinRecord) { r.Spent = 0 }),
		"invents a spend":   record(func(r *chain.CoinRecord) { r.Spent = max(r.Spent, r.Confirmed+1) }),
		"far in the future": record(func(r *chain.CoinRecord) { r.Confirmed += 1000 }),
		"hides coins": func(p *party) {
			p.record = func(*chain.CoinRecord) *chain.CoinRecord { return nil }
			p.list = func([]chain.CoinRecord) []chain.CoinRecord { return nil }
		},
		"hides spends":        func(p *party) { p.spend = func(*chain.CoinSpend) *chain.CoinSpend { return nil } },
		"other puzzle":        spend(func(sp *chain.CoinSpend) { sp.Puzzle = []byte{1} }),
		"other solution":      spend(func(sp *chain.CoinSpend) { sp.Solution = append(slices.Clone(sp.Solution), 0) }),
		"other coin in spend": spend(func(sp *chain.CoinSpend) { sp.Coin.Amount += 2 }),
		"other block hash":    block(func(b *chain.Block) { b.Hash = otherHash(b.Hash) }),
		"other block time":    block(func(b *chain.Block) { b.Time += 5 }),
		"one block behind":    block(func(b *chain.Block) { b.Height-- }),
		"other network":       func(p *party) { p.network = "testnet11" },
	}
}

func TestQuorumOutvotesOne(t *testing.T) {
	for what, lie := range lies() {
		for i := range 3 {
			three, s := parties(t)
			lie(three[i])
			r := chain.NewResolver(quorum(t, three, nil), unhurried())
			tip, err := r.Tip(t.Context(), s.ID())
			if err != nil {
				t.Errorf("%s %s: %v", three[i], what, err)
				continue
			}
			tip.Generation = 2 // may be unknown if the coin was found by its hint
			if d := cmp.Diff(*s.State(), tip.State); d != "" || tip.Trust != chain.TrustQuorum {
				t.Errorf("%s %s: %v (-want +got)\n%s", three[i], what, tip.Trust, d)
			}
			if got, err := r.Lineage(t.Context(), s.ID()); err != nil || !slices.Equal(got, roots(1, 2)) {
				t.Errorf("%s %s: lineage %v, %v", three[i], what, got, err)
			}
		}
	}
}

func TestQuorumRefuses(t *testing.T) {
	all := lies()
	for _, c := range []struct {
		what     string
		on       []string // the faults of a, b and c
		want     error
		mentions []string
	}{
		{"two are down", []string{"is down", "is down", ""}, chain.ErrUnavailable, []string{"a and b", "no answer"}},
		{"three say different things", []string{"", "hides coins", "other amount"}, chain.ErrSourcesDisagree, []string{"a", "b", "c"}},
		{"one hides what another does not know", []string{"", "hides spends", "other solution"}, chain.ErrSourcesDisagree, nil},
		{"two of other networks", []string{"", "other network", "other network"}, chain.ErrWrongNetwork, []string{"testnet11"}},
		{"blocks differ", []string{"", "other block hash", "other block time"}, chain.ErrSourcesDisagree, nil},
	} {
		three, s := parties(t)
		for i, what := range c.on {
			if what != "" {
				all[what](three[i])
			}
		}
		_, err := chain.NewResolver(quorum(t, three, nil), unhurried()).Lineage(t.Context(), s.ID())
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
			continue
		}
		for _, m := range c.mentions {
			if !strings.Contains(err.Error(), m) {
				t.Errorf("%s: %v; want %q in it", c.what, err, m)
			}
		}
	}
}

func TestQuorumLag(t *testing.T) {
	near, s := alike(10)
	ahead, _ := alike(12)
	behind, _ := alike(6)
	a, b, c := &party{Chain: near, name: "a"}, &party{Chain: ahead, name: "b"}, &party{Chain: behind,
		name: "c"}
	c.record = func(*chain.CoinRecord) *chain.CoinRecord { return nil }
	q := quorum(t, []*party{a, b, c}, nil)
	peak, err := q.Peak(t.Context())
	if err != nil || peak.Height != near.Height()-2 {
		t.Fatalf("peak %+v, %v, want height %d: two below the lower of the two that are near", peak, err,
			near.Height()-2)
	}
	if b, err := q.BlockAt(t.Context(), near.Height()); b != nil || err != nil {
		t.Errorf("a block above the height of comparison: %+v, %v", b, err)
	}
	if got, err := chain.NewResolver(q, unhurried()).CurrentRoot(t.Context(), s.ID()); err != nil ||
		got != root(2) {
		t.Errorf("root %v, %v", got, err)
	}
	// With b down, c is close enough to the highest peak.
	b.down = chain.ErrUnavailable
	if peak, err := quorum(t, []*party{a, b, c},
		&chain.QuorumOptions{Lag: 4}).Peak(t.Context()); err != nil || peak.Height != behind.Height()-2 {
		t.Errorf("peak %+v, %v, want height %d", peak, err, behind.Height()-2)
	}
	if _, err := quorum(t, []*party{a, b, c}, nil).Peak(t.Context()); !errors.Is(err,
		chain.ErrUnavailable) {
		t.Errorf("one of three is down and one far behind: %v, want ErrUnavailable", err)
	}
}

func TestQuorumPending(t *testing.T) {
	three, _ := parties(t)
	var stores []*chaintest.Store
	for _, p := range three {
		c, s := alike(4)
		s.Update(root(3))
		p.Chain, stores = c, append(stores, s)
	}
	s := stores[0]
	tip, err := chain.NewResolver(quorum(t, three, nil), unhurried()).Tip(t.Context(), s.ID())
	if err != nil {
		t.Fatal(err)
	}
	if tip.Root() != root(2) || tip.PendingHeight != three[0].Height() {
		t.Errorf("root %v, pending at %d; want %v, and the update pending at %d", tip.Root(),
			tip.PendingHeight, root(2), three[0].Height())
	}
	for _, p := range three {
		p.Farm(2)
	}
	tip, err = chain.NewResolver(quorum(t, three, nil), unhurried()).Tip(t.Context(), s.ID())
	if err != nil || tip.Root() != root(3) || tip.PendingHeight != 0 {
		t.Errorf("two blocks later: %+v, %v", tip, err)
	}
}

func TestQuorumLists(t *testing.T) {
	at := chaintest.Anyone(7).Hash()
	three, s := parties(t)
	q := quorum(t, three, nil)
	r := chain.NewResolver(q, unhurried())
	if b, err := r.Balance(t.Context(), at, merkle.Hash{}); err != nil ||
		b != (chain.Balance{Amount: 12, Coins: 1, Verified: true}) {
		t.Errorf("balance %+v, %v", b, err)
	}
	three[1].list = func(list []chain.CoinRecord) []chain.CoinRecord {
		return append(list, chain.CoinRecord{Coin: chain.Coin{PuzzleHash: at, Amount: 1000},
			Confirmed: 1})
	}
	if b, err := r.Balance(t.Context(), at, merkle.Hash{}); !errors.Is(err, chain.ErrSourcesDisagree) {
		t.Errorf("one knows more coins: %+v, %v, want ErrSourcesDisagree", b, err)
	}
	if list, err := q.ByHint(t.Context(), merkle.Hash(s.ID()), true); err != nil || len(list) != 2 {
		t.Errorf("hints that only one knows are left out: %d coins, %v, want 2", len(list), err)
	}
}

func TestQuorumHolds(t *testing.T) {
	three, _ := parties(t)
	now := time.Now()
	q := quorum(t, three, &chain.QuorumOptions{Hold: time.Minute, Now: func() time.Time {
		return now
	}})
	peak := func() uint32 {
		t.Helper()
		b, err := q.Peak(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return b.Height
	}
	first := peak()
	for _, p := range three {
		p.Farm(5)
	}
	now = now.Add(59 * time.Second)
	if got := peak(); got != first {
		t.Errorf("height %d within the minute, want %d", got, first)
	}
	now = now.Add(2 * time.Second)
	if got := peak(); got != first+5 {
		t.Errorf("height %d after the minute, want %d", got, first+5)
	}
}

func TestNewQuorum(t *testing.T) {
	a, b, c := chaintest.New(nil), chaintest.New(nil), chaintest.New(nil)
	for _, q := range []struct {
		sources []chain.Source
		agree   int
		ok      bool
	}{
		{nil, 0, false}, {[]chain.Source{a}, 0, true}, {[]chain.Source{a, b}, 0, true}, {[]chain.Source{a, b}, 1, false},
		{[]chain.Source{a, b, c}, 0, true}, {[]chain.Source{a, b, c}, 1, false}, {[]chain.Source{a, b, c}, 2, true}, {[]chain.Source{a, b, c}, 3, true},
		{[]chain.Source{a, b, c}, 4, false}, {[]chain.Source{a, b, c}, -1, false},
	} {
		if _, err := chain.NewQuorum(q.sources,
			&chain.QuorumOptions{Agree: q.agree}); (err == nil) != q.ok {
			t.Errorf("%d of %d: %v, want allowed: %v", q.agree, len(q.sources), err, q.ok)
		}
	}
}
