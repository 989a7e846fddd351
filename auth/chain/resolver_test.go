package chain_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/chaintest"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

func root(i int) merkle.Hash { return merkle.Sum(fmt.Append(nil, "root ", i)) }

// newChain returns an empty chain of the network mainnet.
func newChain(t testing.TB) *chaintest.Chain {
	t.Helper()
	return chaintest.New(&chaintest.Options{Network: chain.Mainnet})
}

// minted returns a chain with one store of n generations after the empty one.
func minted(t testing.TB, n int) (*chaintest.Chain, *chaintest.Store) {
	t.Helper()
	c := newChain(t)
	s := c.Mint(chain.Metadata{}, chaintest.Anyone(1))
	for i := 1; i <= n; i++ {
		s.Update(root(i))
	}
	return c, s
}

// fresh returns the options of a resolver that does not reuse answers.
func fresh() *chain.Options { return &chain.Options{TipAge: -1} }

func roots(from, to int) []merkle.Hash {
	var out []merkle.Hash
	for i := from; i <= to; i++ {
		out = append(out, root(i))
	}
	return out
}

func TestResolverLineage(t *testing.T) {
	c, s := minted(t, 4)
	r := chain.NewResolver(c, fresh())
	got, err := r.Lineage(t.Context(), s.ID())
	if err != nil || !slices.Equal(got, roots(1, 4)) {
		t.Fatalf("lineage %v, %v, want %v", got, err, roots(1, 4))
	}
	now, err := r.CurrentRoot(t.Context(), s.ID())
	if err != nil || now != root(4) {
		t.Errorf("current root %v, %v, want %v", now, err, root(4))
	}
	history, err := r.History(t.Context(), s.ID())
	if err != nil || len(history) != 5 {
		t.Fatalf("%d entries, %v, want 5", len(history), err)
	}
	for i, e := range history {
		if e.Generation != i || e.Time == 0 || e.Height == 0 {
			t.Errorf("entry %d is %+v", i, e)
		}
	}
	if last := history[4]; last.CoinID != s.Coin().ID() || last.By != chain.RoleOwner {
		t.Errorf("the last entry is %+v, the coin %v", last, s.Coin().ID())
	}
	// A root that returns after another is in the lineage twice; a consecutive duplicate is not.
	s.Update(root(2))
	s.Delegate(nil, chaintest.Writer(chaintest.Anyone(2)))
	got, err = r.Lineage(t.Context(), s.ID())
	if want := append(roots(1, 4), root(2)); err != nil || !slices.Equal(got, want) {
		t.Errorf("lineage %v, %v, want %v", got, err, want)
	}
}

func TestResolverTip(t *testing.T) {
	for name, hinted := range map[string]bool{"by hint": true, "by the walk": false} {
		t.Run(name, func(t *testing.T) {
			c, s := minted(t, 3)
			var source chain.Source = c
			if !hinted {
				source = bare{c}
			}
			tip, err := chain.NewResolver(source, fresh()).Tip(t.Context(), s.ID())
			if err != nil {
				t.Fatal(err)
			}
			want := s.State()
			if hinted {
				want.Generation = -1
			}
			if d := cmp.Diff(*want, tip.State); d != "" {
				t.Errorf("state (-want +got)\n%s", d)
			}
			if tip.Status != chain.StatusShallow || tip.Depth != 1 || tip.Height != c.Height() ||
				tip.Trust != chain.TrustSingle {
				t.Errorf("tip %+v", tip)
			}
			c.Farm(31)
			if tip, err = chain.NewResolver(source, fresh()).Tip(t.Context(), s.ID()); err != nil ||
				tip.Status != chain.StatusAnchored || tip.Depth != 32 {
				t.Errorf("32 deep: %+v, %v", tip, err)
			}
		})
	}
}

// bare hides the optional interfaces of a source.
type bare struct{ chain.Source }

func TestResolverMelted(t *testing.T) {
	c, s := minted(t, 2)
	r := chain.NewResolver(c, fresh())
	if _, err := r.Tip(t.Context(), s.ID()); err != nil {
		t.Fatal(err)
	}
	s.Melt()
	for name, r := range map[string]*chain.Resolver{"known before": r,
		"new": chain.NewResolver(c, fresh())} {
		tip, err := r.Tip(t.Context(), s.ID())
		if err != nil || tip.Status != chain.StatusMelted || tip.Root() != root(2) ||
			tip.MeltedHeight != c.Height() {
			t.Errorf("%s: %+v, %v", name, tip, err)
		}
		_, err = r.CurrentRoot(t.Context(), s.ID())
		var melted *chain.MeltedError
		if !errors.As(err, &melted) || melted.Last.Root() != root(2) || melted.Height != c.Height() ||
			!errors.Is(err, chain.ErrMelted) {
			t.Errorf("%s: current root: %v", name, err)
		}
		if _, err := r.CanWrite(t.Context(), s.ID(), key(t, 1)); !errors.Is(err, chain.ErrMelted) {
			t.Errorf("%s: can write: %v", name, err)
		}
		if got, err := r.Lineage(t.Context(), s.ID()); err != nil || !slices.Equal(got, roots(1, 2)) {
			t.Errorf("%s: lineage %v, %v", name, got, err)
		}
	}
}

func TestResolverRefuses(t *testing.T) {
	c := newChain(t)
	waiting := c.Coin(hash("eff07522495060c066f66f32acc2a77e3a3e737aca8baea4d1a64ea4cdc13da9"), 1)
	other := c.Coin(chaintest.Anyone(1).Hash(), 1)
	if err := c.Spend(&chain.CoinSpend{Coin: other, Puzzle: []byte{1}, Solution: []byte{0x80}}, nil,
		nil); err != nil {
		t.Fatal(err)
	}
	changed := c.Mint(chain.Metadata{}, chaintest.Anyone(1))
	sp := changed.Solve(nil, chaintest.CreateCoin(chaintest.Anyone(1).Hash(), 1),
		chaintest.UpdateMetadataBy(chain.Metadata{Root: root(1)}, merkle.Hash{1}))
	if err := c.Spend(sp, nil, nil); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		store auth.StoreID
		want  error
	}{
		"no such coin":     {auth.StoreID{1}, chain.ErrStoreNotFound},
		"launcher unspent": {auth.StoreID(waiting.ID()), chain.ErrNotMinted},
		"no launcher":      {auth.StoreID(other.ID()), chain.ErrNotDataStore},
		"updater changed":  {changed.ID(), chain.ErrUpdaterChanged},
	} {
		t.Run(name, func(t *testing.T) {
			r := chain.NewResolver(c, fresh())
			for what, f := range map[string]func() error{
				"Tip":         func() error { _, err := r.Tip(t.Context(), tt.store); return err },
				"CurrentRoot": func() error { _, err := r.CurrentRoot(t.Context(), tt.store); return err },
				"Lineage":     func() error { _, err := r.Lineage(t.Context(), tt.store); return err },
				"CanWrite":    func() error { _, err := r.CanWrite(t.Context(), tt.store, key(t, 1)); return err },
				"VerifyRoot":  func() error { return r.VerifyRoot(t.Context(), tt.store, root(1), chain.AnyGeneration) },
			} {
				if err := f(); !errors.Is(err, tt.want) {
					t.Errorf("%s: %v, want %v", what, err, tt.want)
				}
			}
		})
	}
	if _, err := chain.NewResolver(c, &chain.Options{Network: "testnet11"}).Tip(t.Context(),
		changed.ID()); !errors.Is(err, chain.ErrWrongNetwork) {
		t.Errorf("on another network: %v", err)
	}
}

func hash(digits string) merkle.Hash {
	h, err := merkle.ParseHash(digits)
	if err != nil {
		panic(err)
	}
	return h
}

func key(t *testing.T, n byte) auth.PublicKey {
	t.Helper()
	return auth.NewKey([auth.SeedSize]byte{n}).PublicKey()
}

// TestResolverCalls checks the number of requests of each method, as counted by the host.
func TestResolverCalls(t *testing.T) {
	const updates = 100
	c, s := minted(t, updates)
	c.Farm(7)
	fresh1 := c.Mint(chain.Metadata{}, chaintest.Anyone(1)) // without an update
	source := rpcTo(t, c.Handler(nil), once())
	if _, err := source.Network(t.Context()); err != nil { // not counted
		t.Fatal(err)
	}
	r := chain.NewResolver(source, fresh())
	for _, tt := range []struct {
		name           string
		ask            func() error
		spends, others int
	}{
		{"whole lineage", func() error { _, err := r.Lineage(t.Context(), s.ID()); return err }, updates + 1, 6},
		{"nothing new", func() error { _, err := r.CurrentRoot(t.Context(), s.ID()); return err }, 0, 2},
		{"nothing new in the lineage", func() error { _, err := r.Lineage(t.Context(), s.ID()); return err }, 0, 2},
		{"one update", func() error {
			s.Update(root(1000))
			c.Calls()
			_, err := r.CurrentRoot(t.Context(), s.ID())
			return err
		}, 1, 3},
		{"the tip alone", func() error {
			_, err := chain.NewResolver(source, fresh()).CurrentRoot(t.Context(), s.ID())
			return err
		}, 1, 4},
		{"the tip of a new store", func() error {
			_, err := chain.NewResolver(source, fresh()).CurrentRoot(t.Context(), fresh1.ID())
			return err
		}, 1, 4},
	} {
		c.Calls()
		if err := tt.ask(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		calls := c.Calls()
		others := sum(calls) - calls["CoinSpend"] - calls["Network"]
		if calls["CoinSpend"] != tt.spends || others > tt.others {
			t.Errorf("%s took %v, want %d spends and at most %d others", tt.name, calls, tt.spends,
				tt.others)
		}
		t.Logf("%s: %v", tt.name, calls)
	}
}

func sum(calls map[string]int) int {
	n := 0
	for k := range maps.Values(calls) {
		n += k
	}
	return n
}

// TestResolverLong resolves a long lineage and measures the memory during the walk: states of
// settled generations are released, and only the entries and the prefetched records remain.
func TestResolverLong(t *testing.T) {
	coins := 1000
	if vectors.Long(t) {
		coins = 5000
	}
	c, s := minted(t, coins-1)
	c.Farm(100)
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	source := &watched{Chain: c, every: coins / 5, heap: heap}
	r := chain.NewResolver(source, fresh())
	began := time.Now()
	got, err := r.Lineage(t.Context(), s.ID())
	if err != nil || len(got) != coins-1 {
		t.Fatalf("%d roots, %v", len(got), err)
	}
	took := time.Since(began)
	got = nil
	after := heap() - before
	t.Logf("%d coins in %v; memory at most %d bytes more on the way, %d after it", coins, took,
		source.peak-before, after)
	if limit := int64(1<<20 + 1000*coins); source.peak-before > limit {
		t.Errorf("%d bytes more on the way, want at most %d", source.peak-before, limit)
	}
	if limit := int64(1<<18 + 400*coins); after > limit {
		t.Errorf("%d bytes more after it, want at most %d", after, limit)
	}
	runtime.KeepAlive(r)
}

// watched measures the heap at regular numbers of spends.
type watched struct {
	*chaintest.Chain
	every int
	heap  func() int64

	mu   sync.Mutex
	n    int
	peak int64
}

func (w *watched) CoinSpend(ctx context.Context, id merkle.Hash, height uint32) (*chain.CoinSpend,
	error) {
	w.mu.Lock()
	if w.n++; w.n%w.every == 0 {
		w.peak = max(w.peak, w.heap())
	}
	w.mu.Unlock()
	return w.Chain.CoinSpend(ctx, id, height)
}

func TestResolverCancelled(t *testing.T) {
	c, s := minted(t, 20)
	ctx, cancel := context.WithCancel(t.Context())
	r := chain.NewResolver(stopAt{c, 10, cancel, new(int)}, fresh())
	if _, err := r.Lineage(ctx, s.ID()); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
}

// stopAt cancels in the middle of a walk.
type stopAt struct {
	*chaintest.Chain
	n      int
	cancel func()
	calls  *int
}

func (s stopAt) CoinRecord(ctx context.Context, id merkle.Hash) (*chain.CoinRecord, error) {
	if *s.calls++; *s.calls == s.n {
		s.cancel()
	}
	return s.Chain.CoinRecord(ctx, id)
}

func (s stopAt) ByHint(context.Context, merkle.Hash, bool) ([]chain.CoinRecord, error) {
	return nil, errors.ErrUnsupported
}
