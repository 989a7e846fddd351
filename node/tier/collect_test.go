package tier_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/policy"
	"github.com/dig-network/digstore/node/storage"
	"github.com/dig-network/digstore/node/tier"
)

// A clock is set by a test.
type clock struct{ at time.Time }

func newClock() *clock { return &clock{time.Unix(1_800_000_000, 0)} }

func (c *clock) now() time.Time          { return c.at }
func (c *clock) advance(d time.Duration) { c.at = c.at.Add(d) }

// reasons returns the reasons of a plan by root.
func reasons(p *tier.Plan) map[merkle.Hash]tier.Reason {
	out := map[merkle.Hash]tier.Reason{}
	for _, r := range p.Generations {
		out[r.Root] = r.Reason
	}
	return out
}

// TestCollectSuperseded: Plan changes nothing, and Collect removes exactly what the plan lists, in
// a new instance too.
func TestCollectSuperseded(t *testing.T) {
	clk := newClock()
	b := newBench(t, t.TempDir(), func(c *tier.Config) {
		c.Now = clk.now
		c.Settings.KeepGenerations = 2
	})
	var list []generation
	for i := range 4 {
		g := generationOf(t, 1, uint64(i))
		b.put(t, g)
		list = append(list, g)
		clk.advance(time.Minute)
	}
	for _, step := range []struct {
		wait time.Duration
		want int
	}{{0, 0}, {2 * time.Hour, 2}} {
		clk.advance(step.wait)
		p, err := b.Plan(t.Context())
		check(t, err)
		if len(p.Generations) != step.want {
			t.Fatalf("after %v: %d generations in the plan, expected %d", step.wait,
				len(p.Generations), step.want)
		}
		if step.want > 0 && p.Bytes() != uint64(list[0].size()+list[1].size()) {
			t.Errorf("plan of %d bytes", p.Bytes())
		}
		for _, g := range list {
			b.serves(t, g)
		}
		if step.want == 0 {
			continue
		}
		done, err := b.Collect(t.Context(), p)
		check(t, err)
		if done.Generations != 2 || len(done.Kept) != 0 || done.Bytes != p.Bytes() {
			t.Errorf("collected %+v", done)
		}
	}
	for range 2 {
		b.refuses(t, list[0], fs.ErrNotExist)
		b.refuses(t, list[1], fs.ErrNotExist)
		b.serves(t, list[2])
		b.serves(t, list[3])
		b.reopen(t)
	}
}

// TestCollectOrphans: orphans are removed after the grace period, counted from the time of their
// file and from the last Put.
func TestCollectOrphans(t *testing.T) {
	clk := newClock()
	clk.at = time.Now()
	b := newBench(t, t.TempDir(), func(c *tier.Config) { c.Now = clk.now })
	g, staged := generationOf(t, 1, 1), generationOf(t, 2, 2)
	b.put(t, g)
	stage := func() {
		for i, d := range staged.Capsules {
			check(t, b.Put(t.Context(), d, bytes.NewReader(staged.contents[i])))
		}
	}
	collect := func() tier.Collected {
		p, err := b.Plan(t.Context())
		check(t, err)
		done, err := b.Collect(t.Context(), p)
		check(t, err)
		return done
	}
	stage()
	if done := collect(); done.Orphans != 0 {
		t.Fatalf("collected %+v at once", done)
	}
	clk.advance(2 * time.Hour)
	old, err := b.Plan(t.Context())
	check(t, err)
	if len(old.Orphans) != len(staged.Capsules) {
		t.Fatalf("%d orphans in the plan, expected %d", len(old.Orphans), len(staged.Capsules))
	}
	stage() // a session has them again
	if done, err := b.Collect(t.Context(), old); err != nil || done.Orphans != 0 {
		t.Fatalf("collected %+v, %v although they were put again", done, err)
	}
	clk.advance(2 * time.Hour)
	if done := collect(); done.Orphans != len(staged.Capsules) ||
		done.Bytes != uint64(staged.size()) {
		t.Fatalf("collected %+v", done)
	}
	u, err := b.storage.Usage(t.Context())
	check(t, err)
	if u.Staged != 0 || u.Capsules != len(g.Capsules) {
		t.Errorf("usage %+v", u)
	}
	b.serves(t, g)
}

// mode returns a policy from the keys of its settings.
func mode(t *testing.T, text string) *policy.Policy {
	t.Helper()
	s, err := policy.ParseSettings([]byte(text))
	check(t, err)
	c, err := s.Resolve()
	check(t, err)
	p, err := policy.New(c, nil)
	check(t, err)
	return p
}

// TestCollectExpired: datastores that were not read for the TTL are removed, unless they are
// pinned, have a retention time, or have too few other providers. Reads are remembered over a
// restart.
func TestCollectExpired(t *testing.T) {
	clk := newClock()
	facts := map[byte]tier.Facts{1: {Providers: 5}, 2: {Providers: 5}, 3: {Providers: 5, Pinned: true},
		4: {Providers: 4}, 5: {Providers: 5}}
	b := newBench(t, t.TempDir(), func(c *tier.Config) {
		c.Now = clk.now
		c.Policy = mode(t, `{"mode": "cache", "ttl_hours": 10, "min_providers": 5, "tier_filter": None}`)
		c.Facts = func(_ context.Context, id auth.StoreID) (tier.Facts, error) {
			return facts[id[0]], nil
		}
	})
	var list []generation
	for i := range 5 {
		g := generationOf(t, byte(i+1), uint64(i))
		m := storage.Meta{Origin: storage.Push, Received: uint64(clk.at.Unix())}
		if i == 4 {
			m.Retain = uint64(clk.at.Add(30 * time.Hour).Unix())
		}
		check(t, put(b.Tiers, g, m))
		list = append(list, g)
	}
	check(t, b.Review(t.Context())) // the policy would not take the fourth
	clk.advance(9 * time.Hour)
	b.serves(t, list[1])
	clk.advance(2 * time.Hour)
	b.reopen(t)
	p, err := b.Plan(t.Context())
	check(t, err)
	if got := reasons(p); len(got) != 1 || got[list[0].Root] != tier.Expired {
		t.Fatalf("plan %v, expected the first datastore", p.Generations)
	}
	b.serves(t, list[0]) // between plan and collection
	done, err := b.Collect(t.Context(), p)
	check(t, err)
	if done.Generations != 0 || len(done.Kept) != 1 {
		t.Errorf("collected %+v, expected that it stays", done)
	}
	clk.advance(20 * time.Hour)
	p, err = b.Plan(t.Context())
	check(t, err)
	if got := reasons(p); len(got) != 3 || got[list[4].Root] != tier.Expired {
		t.Errorf("plan %v, expected the datastores 1, 2 and 5", p.Generations)
	}
}

// TestCollectRefused: a datastore is removed if the policy still refuses it after an interval.
func TestCollectRefused(t *testing.T) {
	clk := newClock()
	b := newBench(t, t.TempDir(), func(c *tier.Config) { c.Now = clk.now })
	g := generationOf(t, 1, 1)
	b.put(t, g)
	check(t, b.Review(t.Context())) // without a policy nothing is refused
	refuse := mode(t, `{"mode": "selective", "whitelist": ["other"]}`)
	accept := mode(t, `{"mode": "selective", "whitelist": ["`+g.Store.String()+`"]}`)
	var failing error
	change := func(p *policy.Policy) {
		b.c.Policy = p
		b.c.Facts = func(context.Context, auth.StoreID) (tier.Facts, error) {
			return tier.Facts{}, failing
		}
		b.reopen(t)
		check(t, b.Review(t.Context()))
	}
	planned := func() int {
		p, err := b.Plan(t.Context())
		if !errors.Is(err, failing) {
			t.Fatal(err)
		}
		return len(p.Generations)
	}
	clk.advance(2 * time.Hour)
	change(refuse)
	clk.advance(5 * time.Hour)
	if n := planned(); n != 0 {
		t.Errorf("%d in the plan after one review", n)
	}
	change(accept)
	clk.advance(5 * time.Hour)
	change(refuse)
	clk.advance(5 * time.Hour)
	if n := planned(); n != 0 {
		t.Errorf("%d in the plan, although it was accepted between", n)
	}
	clk.advance(2 * time.Hour)
	if n := planned(); n != 1 {
		t.Errorf("%d in the plan after a second refusal, expected 1", n)
	}
	failing = errors.New("no facts")
	if n := planned(); n != 0 {
		t.Errorf("%d in the plan without facts", n)
	}
	failing = nil
	p, err := b.Plan(t.Context())
	check(t, err)
	_, err = b.Collect(t.Context(), p)
	check(t, err)
	b.refuses(t, g, fs.ErrNotExist)
	if p.Generations[0].Code != policy.CodeNotWhitelisted {
		t.Errorf("code %s", p.Generations[0].Code)
	}
}

// TestRevoke: a revoked generation is removed immediately and not accepted again. A removed one is
// accepted again.
func TestRevoke(t *testing.T) {
	b := newBench(t, t.TempDir(), nil)
	g, other := generationOf(t, 1, 1), generationOf(t, 2, 2)
	b.put(t, g)
	b.put(t, other)
	_, err := b.CreatePlot(t.Context(), tier.PlotRequest{Generations: keys(g, other)})
	check(t, err)
	b.serves(t, g)
	check(t, b.Remove(t.Context(), g.Store, merkle.Hash{}))
	check(t, b.Revoke(t.Context(), other.Store, other.Root))
	if s := b.Status().Cache; s.L1Entries+s.L2Entries != 0 {
		t.Errorf("the cache has what was removed: %+v", s)
	}
	if err := b.Remove(t.Context(), g.Store, g.Root); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("removed twice: %v", err)
	}
	for range 2 {
		for _, gone := range []generation{g, other} {
			b.refuses(t, gone, fs.ErrNotExist)
			if _, err := b.GetHash(t.Context(), gone.Capsules[0].Hash, ""); !errors.Is(err,
				fs.ErrNotExist) {
				t.Errorf("by hash: %v", err)
			}
			if _, err := b.Find(t.Context(), gone.Capsules[0].Hash, merkle.Hash{}); !errors.Is(err,
				fs.ErrNotExist) {
				t.Errorf("for a proof: %v", err)
			}
		}
		b.reopen(t)
	}
	b.put(t, g)
	b.serves(t, g)
	m := storage.Meta{}
	if err := put(b.Tiers, other, m); !errors.Is(err, auth.ErrRevoked) {
		t.Errorf("commit of what was revoked: %v", err)
	}
	b.reopen(t)
	b.serves(t, g)
	b.refuses(t, other, fs.ErrNotExist)
}

// TestCollectPinned: nothing of a pinned datastore is dropped, even if it is superseded or on the
// blacklist.
func TestCollectPinned(t *testing.T) {
	clk := newClock()
	pinned := true
	b := newBench(t, t.TempDir(), func(c *tier.Config) {
		c.Now = clk.now
		c.Policy = mode(t, `{"mode": "archive", "blacklist": ["*"]}`)
		c.Facts = func(context.Context, auth.StoreID) (tier.Facts, error) {
			return tier.Facts{Pinned: pinned, Providers: 5}, nil
		}
	})
	list := []generation{generationOf(t, 1, 1), generationOf(t, 1, 2)}
	for _, g := range list {
		b.put(t, g)
		clk.advance(time.Minute)
	}
	for range 3 {
		check(t, b.Review(t.Context()))
		clk.advance(7 * time.Hour)
		check(t, collectAll(b))
	}
	for _, g := range list {
		b.serves(t, g)
	}
	pinned = false
	for _, want := range []int{1, 0} {
		check(t, b.Review(t.Context()))
		check(t, collectAll(b))
		if n := len(b.Index().Generations(list[0].Store)); n != want {
			t.Errorf("%d generations, expected %d", n, want)
		}
		clk.advance(7 * time.Hour)
		check(t, collectAll(b))
	}
}

// The storage keeps a reserve, and says when twice of it is not free.
func TestRoom(t *testing.T) {
	const gib = 1 << 30
	for _, c := range []struct {
		limit, size int64
		full, low   bool
	}{
		{0, 1 << 50, false, false}, // not known
		{4 * gib, 3 * gib, false, false},
		{4 * gib, 3*gib + 1, true, false},
		{2 * gib, gib, false, false},
		{2*gib - 1, 1, false, true},
		{gib, 1, true, true},
		{40 * gib, 38 * gib, false, false},
		{40 * gib, 38*gib + 1, true, false},
	} {
		tiers, err := tier.New(t.Context(), tier.Config{
			Storage: storage.NewMemory(&storage.MemoryOptions{Limit: c.limit})})
		check(t, err)
		if err := tiers.Room(t.Context(), c.size); errors.Is(err, tier.ErrNoSpace) != c.full {
			t.Errorf("%d bytes of %d: %v, expected full %v", c.size, c.limit, err, c.full)
		}
		if low, err := tiers.Low(t.Context()); err != nil || low != c.low {
			t.Errorf("%d bytes free: low %v, %v, expected %v", c.limit, low, err, c.low)
		}
		check(t, tiers.Close())
	}
}
