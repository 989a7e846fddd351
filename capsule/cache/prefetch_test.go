package cache_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/cache"
)

// reader returns a function that reads a capsule for a client and waits until all is quiet.
func reader(t *testing.T, c *cache.Cache, m *capsule.Manifest) func(string, uint32) cache.Hit {
	return func(client string, i uint32) cache.Hit {
		t.Helper()
		b, hit, err := c.Get(t.Context(), m.Ref(i), client)
		if err != nil {
			t.Fatal(err)
		}
		b.Close()
		synctest.Wait()
		return hit
	}
}

// After two neighbours the next two are loaded, into a quarter of L1, and never in the way of
// others.
func TestPrefetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, m, c := setUp(t, 40, &cache.Options{L1: 8000, L2: 40_000})
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go c.Run(ctx)
		read := reader(t, c, m)
		read("a", 0)
		read("b", 1) // another client
		if n := c.Stats().Prefetched; n != 0 {
			t.Errorf("%d prefetched for two clients that read once", n)
		}
		read("a", 1)
		if n := c.Stats().Prefetched; n != 2 {
			t.Errorf("%d prefetched, want 2", n)
		}
		if hit := read("a", 2); hit != cache.L1Hit {
			t.Errorf("capsule 2: %v", hit)
		}
		// 3 is there and 4 is new: no more than a quarter of L1 is ahead.
		if st := c.Stats(); st.Prefetched != 3 || st.L1Bytes > 8000 {
			t.Errorf("%+v", st)
		}
		if hit := read("a", 3); hit != cache.L1Hit {
			t.Errorf("capsule 3: %v", hit)
		}
		before := c.Stats().Prefetched
		time.Sleep(31 * time.Second)
		read("a", 4) // too late to be one after the other
		read("a", 9)
		read("a", 8)
		if n := c.Stats().Prefetched; n != before {
			t.Errorf("%d prefetched without a sequence", n-before)
		}
		read("", 20)
		read("", 21)
		if n := c.Stats().Prefetched; n != before {
			t.Errorf("%d prefetched for nobody", n-before)
		}
		// The end of the generation.
		read("c", 37)
		read("c", 38)
		if n := c.Stats().Prefetched; n != before+1 {
			t.Errorf("%d prefetched at the end, want 1", n-before)
		}
		read("c", 39)
		// What has been touched is never pushed out by what is ahead.
		for i := 22; i < 30; i++ {
			read("", uint32(i))
			read("", uint32(i))
		}
		before = c.Stats().Prefetched
		read("d", 30)
		read("d", 31)
		if st := c.Stats(); st.Prefetched != before || st.L1Bytes != 8000 {
			t.Errorf("prefetched into a full L1: %+v", st)
		}
		for i := 22; i < 30; i++ {
			if hit := read("", uint32(i)); hit != cache.L1Hit {
				t.Errorf("capsule %d: %v", i, hit)
			}
		}
		stop()
		synctest.Wait()
	})
}

// What is ahead gives way to what is touched, the oldest first, and is not prefetched while
// others load.
func TestPrefetchGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m, c := setUp(t, 40, &cache.Options{L1: 8000, L2: 40_000})
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go c.Run(ctx)
		read := reader(t, c, m)
		read("a", 0)
		read("a", 1) // 2 and 3 are ahead
		for i := 10; i < 17; i++ {
			read("", uint32(i))
			read("", uint32(i)) // seven entries: one of those ahead must go
		}
		if st := c.Stats(); st.L1Bytes != 8000 || st.Prefetched != 2 {
			t.Errorf("%+v", st)
		}
		wantHits(t, c, m, 1000, "3:l1_hit 2:disk_read")

		s.mu.Lock()
		s.wait = make(chan struct{})
		s.mu.Unlock()
		before := c.Stats().Prefetched
		done := make(chan struct{})
		go func() {
			defer close(done)
			read("", 30)
		}()
		synctest.Wait()
		read("b", 10)
		read("b", 11)
		if n := c.Stats().Prefetched; n != before {
			t.Errorf("%d prefetched while another load was running", n-before)
		}
		close(s.wait)
		<-done

		// Nothing is loaded ahead while a load is running, also when it has ended afterwards.
		busy := newCache(t, s, &cache.Options{L1: 8000, L2: 40_000})
		go busy.Run(ctx)
		wantHits(t, busy, m, 1000, "10:disk_read 11:disk_read")
		s.mu.Lock()
		wait := make(chan struct{})
		s.wait = wait
		s.mu.Unlock()
		go busy.Get(ctx, m.Ref(30), "")
		synctest.Wait()
		reader(t, busy, m)("b", 10)
		reader(t, busy, m)("b", 11)
		close(wait)
		synctest.Wait()
		if n := busy.Stats().Prefetched; n != 0 {
			t.Errorf("%d prefetched while another load was running", n)
		}

		c2 := newCache(t, s, &cache.Options{L1: 8000, L2: 40_000, Prefetch: -1})
		go c2.Run(ctx)
		for i := range uint32(4) {
			reader(t, c2, m)("a", i)
		}
		if n := c2.Stats().Prefetched; n != 0 {
			t.Errorf("%d prefetched although it is off", n)
		}
	})
}
