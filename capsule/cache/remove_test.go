package cache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/cache"
)

func TestPut(t *testing.T) {
	backings(t, func(t *testing.T, dir string) {
		_, m, c := setUp(t, 2, &cache.Options{L1: 8000, L2: 8000, Dir: dir})
		if err := c.Put(m.Ref(0), m.Capsules[0], content(1, 0, 1000)); err != nil {
			t.Fatal(err)
		}
		if st := c.Stats(); st.L1Entries != 0 || st.L2Entries != 1 {
			t.Errorf("%+v", st)
		}
		wantHits(t, c, m, 1000, "0:l2_hit 0:l1_hit")
		if err := c.Put(m.Ref(1), m.Capsules[1], content(1, 0, 1000)); !errors.Is(err,
			capsule.ErrContentMismatch) {
			t.Errorf("other content: %v", err)
		}
		wantHits(t, c, m, 1000, "1:disk_read")
	})
}

// When Remove has returned, nothing of the store is found, and no load that was running puts it
// back.
func TestRemove(t *testing.T) {
	backings(t, func(t *testing.T, dir string) {
		s := new(source)
		a, b := s.add(t, 1, 3, 1000), s.add(t, 2, 1, 1000)
		c := newCache(t, s, &cache.Options{L1: 80_000, L2: 80_000, Dir: dir})
		wantHits(t, c, a, 1000, "0:disk_read 0:l2_hit 1:disk_read")
		wantHits(t, c, b, 1000, "0:disk_read")
		blob, _, err := c.Get(t.Context(), a.Ref(0), "")
		if err != nil {
			t.Fatal(err)
		}
		wait := make(chan struct{})
		s.mu.Lock()
		s.wait = wait
		s.mu.Unlock()
		running := make(chan error, 1)
		go func() {
			b, _, err := c.Get(t.Context(), a.Ref(2), "")
			if err == nil {
				b.Close()
			}
			running <- err
		}()
		for s.opened(2) == 0 {
			time.Sleep(time.Millisecond)
		}
		c.Remove(a.Store)
		close(wait)
		if err := <-running; err != nil {
			t.Error(err)
		}
		s.mu.Lock()
		s.wait = nil
		s.mu.Unlock()
		if got, err := io.ReadAll(blob.Reader()); err != nil ||
			!bytes.Equal(got, content(1, 0, 1000)) {
			t.Errorf("a blob that was handed out: %d bytes, %v", len(got), err)
		}
		blob.Close()
		wantHits(t, c, b, 1000, "0:l2_hit")
		wantHits(t, c, a, 1000, "0:disk_read 1:disk_read 2:disk_read")
		if dir != "" && countFiles(t, dir) != 4 {
			t.Errorf("%d files, want 4", countFiles(t, dir))
		}
		c.RemoveHash(a.Capsules[0].Hash)
		wantHits(t, c, a, 1000, "1:l2_hit 0:disk_read")
	})
}

// A load for no store that is known is not kept when something was removed meanwhile, and neither
// is what is prefetched.
func TestRemoveWhileLoading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m, c := setUp(t, 6, &cache.Options{L1: 40_000, L2: 40_000})
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go c.Run(ctx)
		load := func(read func()) {
			s.mu.Lock()
			s.wait = make(chan struct{})
			s.mu.Unlock()
			go read()
			synctest.Wait()
			c.Remove(m.Store)
			close(s.wait)
			synctest.Wait()
			if st := c.Stats(); st.L1Entries+st.L2Entries != 0 {
				t.Errorf("%+v", st)
			}
		}
		load(func() {
			rc, err := c.Open(ctx, m.Capsules[0])
			if err != nil {
				t.Error(err)
				return
			}
			rc.Close()
		})
		s.mu.Lock()
		s.wait = nil
		s.mu.Unlock()
		read := reader(t, c, m)
		read("a", 1)
		s.mu.Lock()
		s.wait = make(chan struct{})
		s.mu.Unlock()
		if err := c.Put(m.Ref(2), m.Capsules[2], content(1, 2, 1000)); err != nil {
			t.Error(err)
		}
		read("a", 2) // 3 is prefetched, and waits
		c.Remove(m.Store)
		close(s.wait)
		synctest.Wait()
		if n := s.opened(3); n != 1 {
			t.Errorf("%d reads of capsule 3, expected 1", n)
		}
		s.mu.Lock()
		s.wait = nil
		s.mu.Unlock()
		wantHits(t, c, m, 1000, "3:disk_read")
	})
}

// Content that two stores have stays when one is removed.
func TestRemoveShared(t *testing.T) {
	s := new(source)
	a := s.add(t, 1, 2, 1000)
	m := &capsule.Manifest{Store: auth.StoreID{9}, Root: a.Root, Capsules: a.Capsules}
	if err := s.Commit(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	c := newCache(t, s, &cache.Options{L1: 80_000, L2: 80_000})
	wantHits(t, c, a, 1000, "0:disk_read 1:disk_read")
	if hit := get(t, c, m.Ref(0), content(1, 0, 1000)); hit != cache.L2Hit {
		t.Errorf("the same content elsewhere: %v", hit)
	}
	c.Remove(a.Store)
	if hit := get(t, c, m.Ref(0), content(1, 0, 1000)); hit != cache.L1Hit {
		t.Errorf("shared: %v", hit)
	}
	wantHits(t, c, a, 1000, "1:disk_read")
}

func TestPin(t *testing.T) {
	backings(t, func(t *testing.T, dir string) {
		_, m, c := setUp(t, 12, &cache.Options{L1: 4000, L2: 16_000, Dir: dir})
		release, err := c.Pin(t.Context(), m.Ref(0))
		if err != nil {
			t.Fatal(err)
		}
		again, err := c.Pin(t.Context(), m.Ref(0))
		if err != nil {
			t.Fatal(err)
		}
		for i := 1; i < 12; i++ { // enough to push out whatever can be
			wantHits(t, c, m, 1000, fmt.Sprintf("%d:disk_read %d:l2_hit", i, i))
		}
		st := c.Stats()
		if wantHits(t, c, m, 1000, "0:l1_hit"); st.L1Bytes != 4000 {
			t.Errorf("%+v", st)
		}
		release()
		release()
		wantHits(t, c, m, 1000, "0:l1_hit")
		for i := 1; i < 12; i++ {
			wantHits(t, c, m, 1000, fmt.Sprintf("%d:l2_hit", i)) // all but 0 in turn
			if i == 4 {
				wantHits(t, c, m, 1000, "0:l1_hit")
			}
			if i == 8 {
				break
			}
		}
		again()
		// Now it is an ordinary entry and leaves L1 like others.
		wantHits(t, c, m, 1000, "1:l2_hit 2:l2_hit 3:l2_hit 4:l2_hit 0:l2_hit")
		// No more than half of L1 is pinned.
		for i := range 4 {
			if _, err := c.Pin(t.Context(), m.Ref(uint32(i))); err != nil {
				t.Error(err)
			}
		}
		if st := c.Stats(); st.L1Bytes > 4000 {
			t.Errorf("%+v", st)
		}
		wantHits(t, c, m, 1000, "0:l1_hit 1:l1_hit")
		c.Remove(m.Store)
		if st := c.Stats(); st.L1Bytes != 0 || st.L2Bytes != 0 {
			t.Errorf("%+v", st)
		}
	})
}
