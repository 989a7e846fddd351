package tier_test

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/storage"
	"github.com/dig-network/digstore/node/tier"
)

// TestReadsDuringJobs: capsules are served correctly while the jobs move them, with and without the
// cache.
func TestReadsDuringJobs(t *testing.T) {
	for _, cached := range []bool{true, false} {
		clk := newClock()
		var mu sync.Mutex
		b := newBench(t, t.TempDir(), func(c *tier.Config) {
			c.Facts = tiersOf
			c.Settings.Release, c.Settings.ScrubRate = true, 1<<40
			c.Now = func() time.Time {
				mu.Lock()
				defer mu.Unlock()
				return clk.now()
			}
			if !cached {
				c.Cache.L1, c.Cache.L2 = -1, -1
			}
		})
		stays, other := tiny(t, 1, 1), tiny(t, 5, 5)
		b.put(t, stays)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for n := i; ctx.Err() == nil; n++ {
					at := n % len(stays.contents)
					got, _, err := read(b.Tiers, stays.ref(at))
					if err != nil || !bytes.Equal(got, stays.contents[at]) {
						t.Errorf("capsule %d: %d bytes, %v", at, len(got), err)
						return
					}
					b.Status()
				}
			})
		}
		for range 3 {
			b.put(t, other)
			_, err := b.AutoPlot(ctx)
			check(t, err)
			_, err = b.Release(ctx)
			check(t, err)
			check(t, b.Age(ctx))
			mu.Lock()
			clk.advance(32 * 24 * time.Hour)
			mu.Unlock()
			check(t, b.Age(ctx))
			check(t, b.Remove(ctx, other.Store, merkle.Hash{}))
			check(t, b.Compact(ctx))
			check(t, b.Scrub(ctx))
			check(t, collectAll(b))
			_, err = b.Refresh(ctx)
			check(t, err)
		}
		cancel()
		wg.Wait()
	}
}

// TestSlowSubscriber: a subscriber that does not read loses events, which are counted, and blocks
// nothing.
func TestSlowSubscriber(t *testing.T) {
	tiers, err := tier.New(t.Context(), tier.Config{Storage: storage.NewMemory(nil)})
	check(t, err)
	defer tiers.Close()
	_, err = tiers.Refresh(t.Context())
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	events := tiers.Events(ctx)
	g := tiny(t, 1, 1)
	const rounds = 300
	for range rounds {
		check(t, put(tiers, g, storage.Meta{}))
		check(t, tiers.Remove(t.Context(), g.Store, g.Root))
	}
	cancel()
	n := 0
	for ev := range events {
		if ev.Kind != tier.GenerationRemoved || ev.Store != g.Store || ev.Root != g.Root {
			t.Fatalf("event %+v", ev)
		}
		n++
	}
	if lost := tiers.Status().EventsLost; lost == 0 || n+int(lost) != rounds {
		t.Errorf("%d events came and %d were lost, expected %d", n, lost, rounds)
	}
}
