package chain_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/chaintest"
	"github.com/dig-network/digstore/merkle"
)

// TestReorg: the resolver drops a generation that a reorganization removes and reads its
// replacement.
func TestReorg(t *testing.T) {
	for name, dir := range map[string]bool{"in memory": false, "from disk": true} {
		t.Run(name, func(t *testing.T) {
			c, s := minted(t, 3)
			c.Farm(40)
			before := c.Height()
			s.Update(root(4))
			s.Update(root(5))
			o := fresh()
			if dir {
				o.Memory = chain.NewDir(t.TempDir())
			}
			r := chain.NewResolver(c, o)
			if got, err := r.Lineage(t.Context(), s.ID()); err != nil || !slices.Equal(got, roots(1, 5)) {
				t.Fatalf("%v, %v", got, err)
			}
			c.Reorg(before)
			s.Rewind()
			if dir {
				r = chain.NewResolver(c, o)
			}
			if got, err := r.CurrentRoot(t.Context(), s.ID()); err != nil || got != root(3) {
				t.Errorf("after the reorganisation: %v, %v, want %v", got, err, root(3))
			}
			s.Update(root(6))
			if got, err := r.Lineage(t.Context(), s.ID()); err != nil ||
				!slices.Equal(got, append(roots(1, 3), root(6))) {
				t.Errorf("on the other branch: %v, %v", got, err)
			}
			if tip, err := r.Tip(t.Context(), s.ID()); err != nil || tip.Generation != 4 ||
				tip.CoinID() != s.Coin().ID() {
				t.Errorf("on the other branch: %+v, %v", tip, err)
			}
		})
	}
}

// TestReorgSameCoin: the same coin can return in another block.
func TestReorgSameCoin(t *testing.T) {
	c, s := minted(t, 1)
	c.Farm(40)
	before := c.Height()
	s.Update(root(2))
	r := chain.NewResolver(c, fresh())
	first, err := r.Tip(t.Context(), s.ID())
	if err != nil {
		t.Fatal(err)
	}
	c.Reorg(before)
	s.Rewind()
	c.Farm(1)
	s.Update(root(2))
	again, err := r.Tip(t.Context(), s.ID())
	if err != nil || again.Coin != first.Coin || again.Height != first.Height+2 {
		t.Errorf("in block %d, then %+v, %v", first.Height, again, err)
	}
}

// TestReorgDuringWalk: after a reorganization during a walk, the walk is repeated once.
func TestReorgDuringWalk(t *testing.T) {
	c, s := minted(t, 3)
	before := c.Height()
	for i := 4; i <= 9; i++ {
		s.Update(root(i))
	}
	calls := 0
	r := chain.NewResolver(hooked{c, func() {
		if calls++; calls == 5 {
			c.Reorg(before)
			s.Rewind()
			c.Farm(10)
		}
	}}, fresh())
	if got, err := r.Lineage(t.Context(), s.ID()); err != nil || !slices.Equal(got, roots(1, 3)) {
		t.Errorf("%v, %v", got, err)
	}
}

// hooked calls a function before it returns a spend, and is no HintSource.
type hooked struct {
	*chaintest.Chain
	before func()
}

func (h hooked) CoinSpend(ctx context.Context, id merkle.Hash, height uint32) (*chain.CoinSpend,
	error) {
	h.before()
	return h.Chain.CoinSpend(ctx, id, height)
}

func (h hooked) ByHint(context.Context, merkle.Hash, bool) ([]chain.CoinRecord, error) {
	return nil, errors.ErrUnsupported
}

// TestRollback: a source without a settled generation is an error.
func TestRollback(t *testing.T) {
	for name, wholes := range map[string][2]bool{
		"by the tip": {false, false}, "by the lineage": {true, true}, "by the tip, then by the lineage": {false, true},
	} {
		t.Run(name, func(t *testing.T) {
			c, s := minted(t, 3)
			before := c.Height()
			s.Update(root(4))
			c.Farm(31)
			dir := t.TempDir()
			whole, source := wholes[0], c
			ask := func() error {
				r := chain.NewResolver(source, &chain.Options{TipAge: -1, Memory: chain.NewDir(dir)})
				if whole {
					_, err := r.Lineage(t.Context(), s.ID())
					return err
				}
				_, err := r.CurrentRoot(t.Context(), s.ID())
				return err
			}
			if err := ask(); err != nil {
				t.Fatal(err)
			}
			c.Reorg(before)
			s.Rewind()
			whole = wholes[1]
			for range 2 {
				if err := ask(); !errors.Is(err, chain.ErrRollback) {
					t.Errorf("the settled generation is gone: %v, want ErrRollback", err)
				}
				s.Update(root(5)) // another generation does not replace it
			}
			if wholes[0] == wholes[1] {
				source = newChain(t)
				source.Farm(int(c.Height()))
				if err := ask(); !errors.Is(err, chain.ErrRollback) {
					t.Errorf("the store is gone: %v, want ErrRollback", err)
				}
			}
			names, _ := filepath.Glob(filepath.Join(dir, "*"))
			if len(names) != 1 || filepath.Base(names[0]) != s.ID().String()+".chain" {
				t.Fatalf("files %v", names)
			}
			// A damaged file is an error: without the file a rollback is not detected.
			b, err := os.ReadFile(names[0])
			if err != nil {
				t.Fatal(err)
			}
			for _, at := range []int{0, 20, len(b) / 2, len(b) - 1} {
				b[at] ^= 1
				if err := os.WriteFile(names[0], b, 0o600); err != nil {
					t.Fatal(err)
				}
				if err := ask(); !errors.Is(err, chain.ErrMalformed) {
					t.Errorf("byte %d changed: %v, want ErrMalformed", at, err)
				}
				b[at] ^= 1
			}
		})
	}
}

func TestMinDepth(t *testing.T) {
	c, s := minted(t, 2)
	o := fresh()
	o.MinDepth = 5
	r := chain.NewResolver(c, o)
	if _, err := r.Tip(t.Context(), s.ID()); !errors.Is(err, chain.ErrShallow) {
		t.Errorf("nothing is 5 deep: %v, want ErrShallow", err)
	}
	c.Farm(4)
	s.Update(root(3))
	tip, err := r.Tip(t.Context(), s.ID())
	if err != nil || tip.Root() != root(2) || tip.Pending == nil || tip.Pending.Root() != root(3) ||
		tip.PendingHeight != c.Height() {
		t.Errorf("%+v, %v", tip, err)
	}
	if got, err := r.Lineage(t.Context(), s.ID()); err != nil || !slices.Equal(got, roots(1, 2)) {
		t.Errorf("lineage %v, %v", got, err)
	}
	s.Melt()
	if tip, err = r.Tip(t.Context(), s.ID()); err != nil || tip.Status != chain.StatusShallow ||
		tip.PendingHeight == 0 {
		t.Errorf("melted above: %+v, %v", tip, err)
	}
	c.Farm(4)
	if tip, err = r.Tip(t.Context(), s.ID()); err != nil || tip.Status != chain.StatusMelted ||
		tip.Root() != root(3) {
		t.Errorf("melted: %+v, %v", tip, err)
	}
}

// broken is a source that returns err if it is set.
type broken struct {
	*chaintest.Chain
	err error
}

func (b *broken) Peak(ctx context.Context) (*chain.Block, error) {
	if b.err != nil {
		return nil, b.err
	}
	return b.Chain.Peak(ctx)
}

func TestCachedStatus(t *testing.T) {
	c, s := minted(t, 2)
	c.Farm(40)
	s.Update(root(3))
	now := time.Now()
	b := &broken{Chain: c}
	o := &chain.Options{TipAge: -1, MaxSkew: -1, Now: func() time.Time {
		return now
	}, AllowCached: time.Hour, Memory: chain.NewDir(t.TempDir())}
	r := chain.NewResolver(b, o)
	b.err = chain.ErrUnavailable
	if _, err := r.Tip(t.Context(), s.ID()); !errors.Is(err, chain.ErrUnavailable) {
		t.Errorf("nothing is kept: %v", err)
	}
	b.err = nil
	if _, err := r.History(t.Context(), s.ID()); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		err    error
		after  time.Duration
		strict bool
		want   error
	}{
		{"down", chain.ErrUnavailable, 0, false, nil},
		{"limited, after a while", chain.ErrRateLimited, 59 * time.Minute, false, nil},
		{"after too long", chain.ErrUnavailable, time.Hour + time.Second, false, chain.ErrUnavailable},
		{"not allowed", chain.ErrUnavailable, 0, true, chain.ErrUnavailable},
		{"a contradiction", chain.ErrSourceInvalid, 0, false, chain.ErrSourceInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b.err = tt.err
			defer func(was time.Time) { now = was }(now)
			now = now.Add(tt.after)
			opt := *o
			if tt.strict {
				opt.AllowCached = 0
			}
			tip, err := chain.NewResolver(b, &opt).Tip(t.Context(), s.ID())
			if !errors.Is(err, tt.want) {
				t.Fatalf("%v, want %v", err, tt.want)
			}
			if err == nil && (tip.Status != chain.StatusCached || tip.Root() != root(2)) {
				t.Errorf("%+v, want the settled generation", tip)
			}
		})
	}
}

// TestPresent: a source that is behind, or ahead of the clock, is an error.
func TestPresent(t *testing.T) {
	c, s := minted(t, 2)
	for name, tt := range map[string]struct {
		off  time.Duration
		skew time.Duration
		want error
	}{
		"now":           {0, 0, nil},
		"a bit old":     {14 * time.Minute, 0, nil},
		"old":           {16 * time.Minute, 0, chain.ErrStaleSource},
		"of the future": {-16 * time.Minute, 0, chain.ErrStaleSource},
		"any will do":   {24 * time.Hour, -1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			o := fresh()
			o.MaxSkew = tt.skew
			o.Now = func() time.Time { return time.Now().Add(tt.off) }
			r := chain.NewResolver(c, o)
			if _, err := r.CurrentRoot(t.Context(), s.ID()); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
	// A block without a time is judged by earlier blocks, and a source that does not advance is an
	// error.
	for c.Farm(1); ; c.Farm(1) {
		if b, _ := c.Peak(t.Context()); b.Time == 0 {
			break
		}
	}
	now := time.Now()
	o := fresh()
	o.Now = func() time.Time { return now }
	r := chain.NewResolver(c, o)
	for _, tt := range []struct {
		after time.Duration
		calls int
		want  error
	}{{0, 5, nil}, {10 * time.Minute, 2, nil}, {20 * time.Minute, 3, chain.ErrStaleSource}} {
		now = time.Now().Add(tt.after)
		c.Calls()
		_, err := r.CurrentRoot(t.Context(), s.ID())
		if calls := c.Calls(); !errors.Is(err, tt.want) || sum(calls) > tt.calls+calls["Network"] {
			t.Errorf("after %v: %v with %v; want %v with at most %d calls", tt.after, err, calls, tt.want,
				tt.calls)
		}
	}
}

func TestVerifyBlock(t *testing.T) {
	now := time.Now()
	c := chaintest.New(&chaintest.Options{Network: chain.Mainnet, Now: func() time.Time {
		return now
	}})
	for range 60 { // 20 minutes
		now = now.Add(20 * time.Second)
		c.Farm(1)
	}
	at := func(height uint32) chain.Block {
		t.Helper()
		b, err := c.BlockAt(t.Context(), height)
		if err != nil || b == nil {
			t.Fatalf("no block %d: %v", height, err)
		}
		ref := chain.Block{Height: b.Height, Hash: b.Hash, Time: b.Time}
		for h := height; ref.Time == 0; h-- {
			b, _ := c.BlockAt(t.Context(), h-1)
			ref.Time = b.Time
		}
		return ref
	}
	recent, old := at(55), at(5)
	otherHash, otherTime := recent, recent
	otherHash.Hash[0] ^= 1
	otherTime.Time++
	age := time.Duration(at(c.Height()).Time-recent.Time) * time.Second
	r := chain.NewResolver(c, &chain.Options{Now: func() time.Time { return now }})
	for name, tt := range map[string]struct {
		ref    chain.Block
		window time.Duration
		want   error
	}{
		"recent":           {recent, 0, nil},
		"without a time":   {at(56), 0, nil},
		"old":              {old, 0, chain.ErrOldBlock},
		"old, long window": {old, time.Hour, nil},
		"at the limit":     {recent, age, nil},
		"beyond the limit": {recent, age - time.Second, chain.ErrOldBlock},
		"another hash":     {otherHash, 0, chain.ErrNotAnchored},
		"another time":     {otherTime, 0, chain.ErrNotAnchored},
		"of the future":    {chain.Block{Height: 1000}, 0, chain.ErrNotAnchored},
	} {
		if err := r.VerifyBlock(t.Context(), tt.ref, tt.window); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	now = now.Add(time.Hour)
	if err := r.VerifyBlock(t.Context(), recent, 2*time.Hour); !errors.Is(err, chain.ErrStaleSource) {
		t.Errorf("a source that stands still: %v", err)
	}
}

// TestPeakGoesBack: the peak of a host with several nodes can decrease by a few blocks. Settled
// generations stay settled.
func TestPeakGoesBack(t *testing.T) {
	c, s := minted(t, 3)
	c.Farm(29)
	s.Update(root(4))
	c.Farm(2)
	behind := &lagging{Chain: c}
	for _, minDepth := range []uint32{1, 32} {
		o := fresh()
		o.MinDepth = minDepth
		r := chain.NewResolver(behind, o)
		for _, behind.lag = range []uint32{0, 1, 0} {
			tip, err := r.Tip(t.Context(), s.ID())
			want := map[uint32]int{1: 4, 32: 3}[minDepth]
			if err != nil || tip.Root() != root(want) {
				t.Errorf("depth %d, %d blocks behind: %+v, %v, want root %d", minDepth, behind.lag, tip, err,
					want)
			}
			if role, err := r.CanWrite(t.Context(), s.ID(), key(t, 1)); role != chain.RoleNone ||
				err != nil {
				t.Errorf("depth %d, %d blocks behind: %v, %v", minDepth, behind.lag, role, err)
			}
		}
	}
}

// lagging is a source that hides the newest blocks.
type lagging struct {
	*chaintest.Chain
	lag uint32
}

func (l *lagging) Peak(ctx context.Context) (*chain.Block, error) {
	return l.BlockAt(ctx, l.Height()-l.lag)
}
