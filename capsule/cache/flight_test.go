package cache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/cache"
)

// Content that does not verify is an error, is not kept, and is read anew the next time.
func TestDamagedSource(t *testing.T) {
	backings(t, func(t *testing.T, dir string) {
		s, m, c := setUp(t, 1, &cache.Options{L1: 8000, L2: 8000, Dir: dir})
		s.damage = true
		if _, _, err := c.Get(t.Context(), m.Ref(0), ""); !errors.Is(err,
			capsule.ErrContentMismatch) {
			t.Errorf("%v", err)
		}
		if rc, err := c.Open(t.Context(), m.Capsules[0]); !errors.Is(err,
			capsule.ErrContentMismatch) {
			t.Errorf("open: %v, %v", rc, err)
		}
		s.damage, s.err = false, fs.ErrPermission
		if _, _, err := c.Get(t.Context(), m.Ref(0), ""); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%v", err)
		}
		s.err = nil
		wantHits(t, c, m, 1000, "0:disk_read 0:l2_hit")
		if st := c.Stats(); st.Mismatches != 2 {
			t.Errorf("%+v", st)
		}
	})
}

// Reads at the same time share one load.
func TestSingleFlight(t *testing.T) {
	backings(t, func(t *testing.T, dir string) {
		s := &source{wait: make(chan struct{})}
		m := s.add(t, 1, 2, 1000)
		c := newCache(t, s, &cache.Options{L1: 8000, L2: 8000, Dir: dir})
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if hit := get(t, c, m.Ref(0), content(1, 0, 1000)); hit != cache.DiskRead {
					t.Errorf("%v", hit)
				}
			})
		}
		time.Sleep(20 * time.Millisecond)
		close(s.wait)
		wg.Wait()
		if n := s.opened(0); n != 1 {
			t.Errorf("%d loads, want 1", n)
		}
	})
}

// A load continues while a caller waits for it, and is cancelled when none does.
func TestWaitersLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{wait: make(chan struct{})}
		m := s.add(t, 1, 2, 1000)
		c := newCache(t, s, &cache.Options{L1: 8000, L2: 8000})
		first, leave := context.WithCancel(t.Context())
		errs := make(chan error, 2)
		go func() {
			_, _, err := c.Get(first, m.Ref(0), "")
			errs <- err
		}()
		synctest.Wait()
		go func() {
			b, _, err := c.Get(t.Context(), m.Ref(0), "")
			if err == nil {
				b.Close()
			}
			errs <- err
		}()
		synctest.Wait()
		leave()
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Errorf("who left: %v", err)
		}
		close(s.wait)
		if err := <-errs; err != nil {
			t.Errorf("who stayed: %v", err)
		}
		if s.opened(0) != 1 {
			t.Errorf("%d loads, want 1", s.opened(0))
		}

		s.wait = make(chan struct{}) // never closed: the load must end by itself
		only, leave := context.WithCancel(t.Context())
		go func() {
			_, _, err := c.Get(only, m.Ref(1), "")
			errs <- err
		}()
		synctest.Wait()
		leave()
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Errorf("the only one: %v", err)
		}
		synctest.Wait()
		s.mu.Lock()
		s.wait = nil
		s.mu.Unlock()
		if hit := get(t, c, m.Ref(1), content(1, 1, 1000)); hit != cache.DiskRead {
			t.Errorf("afterwards: %v", hit)
		}
	})
}

// A read of the same hash under another chunk root does not share the load, and fails.
func TestFlightOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m, c := setUp(t, 1, &cache.Options{L1: 8000, L2: 8000})
		s.wait = make(chan struct{})
		first := make(chan error, 1)
		go func() {
			_, err := c.Open(t.Context(), m.Capsules[0])
			first <- err
		}()
		synctest.Wait()
		other := m.Capsules[0]
		other.ChunkRoot[0]++
		second := make(chan error, 1)
		go func() {
			_, err := c.Open(t.Context(), other)
			second <- err
		}()
		synctest.Wait()
		close(s.wait)
		if err := <-first; err != nil {
			t.Error(err)
		}
		if err := <-second; !errors.Is(err, capsule.ErrContentMismatch) {
			t.Errorf("another chunk root: %v", err)
		}
	})
}

// A capsule in memory is not the answer to a descriptor of another size.
func TestSizeDiffers(t *testing.T) {
	_, m, c := setUp(t, 1, nil)
	wantHits(t, c, m, 1000, "0:disk_read 0:l2_hit")
	other := m.Capsules[0]
	other.Size++
	if _, err := c.Open(t.Context(), other); !errors.Is(err, capsule.ErrContentMismatch) {
		t.Errorf("%v", err)
	}
}

// All loads together hold a bounded number of bytes.
func TestLoadingBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{wait: make(chan struct{})}
		m := s.add(t, 1, 5, 1000)
		c := newCache(t, s, &cache.Options{L1: 80_000, L2: 80_000, Loading: 2500})
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() { get(t, c, m.Ref(uint32(i)), content(1, i, 1000)) })
		}
		synctest.Wait()
		s.mu.Lock()
		running := len(s.opens)
		s.mu.Unlock()
		if running != 2 {
			t.Errorf("%d loads at once, want 2", running)
		}
		close(s.wait)
		wg.Wait()
	})
}

// Everything at once; run it under the race detector.
func TestConcurrent(t *testing.T) {
	backings(t, func(t *testing.T, dir string) {
		s := new(source)
		stores := []*capsule.Manifest{s.add(t, 1, 10, 1000), s.add(t, 2, 10, 1000)}
		c := newCache(t, s, &cache.Options{L1: 5000, L2: 8000, Dir: dir, Loading: 3000})
		ctx, stop := context.WithCancel(t.Context())
		var wg, background sync.WaitGroup
		background.Go(func() { c.Run(ctx) })
		for g := range 8 {
			wg.Go(func() {
				for k := range 200 {
					m := stores[(g+k)%2]
					i := (k*7 + g) % 10
					switch {
					case k%50 == 49:
						c.Remove(m.Store)
					case k%20 == 19:
						if release, err := c.Pin(ctx, m.Ref(uint32(i))); err != nil {
							t.Error(err)
						} else {
							defer release()
						}
					case k%10 == 9:
						if err := c.Put(m.Ref(uint32(i)), m.Capsules[i],
							content(m.Store[0], i, 1000)); err != nil {
							t.Error(err)
						}
					default:
						b, _, err := c.Get(ctx, m.Ref(uint32(k%10)), fmt.Sprint(g))
						if err != nil {
							t.Error(err)
							continue
						}
						got, err := io.ReadAll(b.Reader())
						if err != nil || !bytes.Equal(got, content(m.Store[0], k%10, 1000)) {
							t.Errorf("%d bytes, %v", len(got), err)
						}
						b.Close()
					}
					if st := c.Stats(); st.L1Bytes > 5000 || st.L2Bytes > 8000 {
						t.Errorf("%+v", st)
					}
				}
			})
		}
		wg.Wait()
		stop()
		background.Wait()
		c.Remove(stores[0].Store)
		c.Remove(stores[1].Store)
		if st := c.Stats(); st.L1Bytes != 0 || st.L2Bytes != 0 || st.L1Entries != 0 ||
			st.L2Entries != 0 {
			t.Errorf("%+v", st)
		}
		if dir != "" && countFiles(t, dir) != 0 {
			t.Errorf("%d files are left", countFiles(t, dir))
		}
	})
}
