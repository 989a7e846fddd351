package cache_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/cache"
	"github.com/dig-network/digstore/capsule/capsuletest"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// source is a memory store that counts, waits and fails.
type source struct {
	capsule.Memory
	mu     sync.Mutex
	stats  int
	opens  map[uint32]int // by index
	wait   chan struct{}  // nil: no waiting
	err    error
	damage bool

	statErr error
}

func (s *source) Stat(ctx context.Context, ref capsule.Ref) (capsule.Descriptor, error) {
	s.mu.Lock()
	s.stats++
	s.mu.Unlock()
	if s.statErr != nil {
		return capsule.Descriptor{}, s.statErr
	}
	return s.Memory.Stat(ctx, ref)
}

func (s *source) Open(ctx context.Context, d capsule.Descriptor) (io.ReadCloser, error) {
	s.mu.Lock()
	if s.opens == nil {
		s.opens = map[uint32]int{}
	}
	s.opens[d.Index]++
	wait, err, damage := s.wait, s.err, s.damage
	s.mu.Unlock()
	if wait != nil {
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	if err != nil {
		return nil, err
	}
	rc, err := s.Memory.Open(ctx, d)
	if err != nil || !damage {
		return rc, err
	}
	b, err := io.ReadAll(rc)
	b[len(b)-1]++
	return io.NopCloser(bytes.NewReader(b)), err
}

func (s *source) opened(i uint32) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opens[i]
}

func content(store byte, i, size int) []byte {
	b := bytes.Repeat([]byte{store}, size)
	binary.BigEndian.PutUint32(b, uint32(i))
	return b
}

// add puts a generation of count capsules of so many bytes into s.
func (s *source) add(t testing.TB, store byte, count, size int) *capsule.Manifest {
	t.Helper()
	var all []byte
	for i := range count {
		all = append(all, content(store, i, size)...)
	}
	m, err := capsule.Split(context.Background(), auth.StoreID{store}, bytes.NewReader(all),
		&capsule.SplitOptions{Size: uint32(size)},
		func(d capsule.Descriptor, r io.Reader) error { return s.Put(context.Background(), d, r) })
	if err == nil {
		err = s.Commit(context.Background(), m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newCache(t testing.TB, src capsule.Source, o *cache.Options) *cache.Cache {
	t.Helper()
	c, err := cache.New(src, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// get reads a capsule through c and returns where it was found.
func get(t testing.TB, c *cache.Cache, ref capsule.Ref, want []byte) cache.Hit {
	t.Helper()
	b, hit, err := c.Get(t.Context(), ref, "")
	if err != nil {
		t.Fatalf("get %d: %v", ref.Index, err)
	}
	defer b.Close()
	got, err := io.ReadAll(b.Reader())
	if err != nil || !bytes.Equal(got, want) || b.Size() != int64(len(want)) ||
		b.Hash() != merkle.Sum(want) {
		t.Fatalf("get %d: %d bytes, %v", ref.Index, len(got), err)
	}
	return hit
}

func wantHits(t testing.TB, c *cache.Cache, m *capsule.Manifest, size int, want string) {
	t.Helper()
	for _, step := range strings.Fields(want) {
		var i int
		var tier string
		if _, err := fmt.Sscanf(strings.Replace(step, ":", " ", 1), "%d %s", &i,
			&tier); err != nil {
			t.Fatal(err)
		}
		if hit := get(t, c, m.Ref(uint32(i)), content(m.Store[0], i, size)); hit.String() != tier {
			t.Errorf("%s of %q: %v", step, want, hit)
		}
	}
}

// backings are L2 in memory and in files.
func backings(t *testing.T, run func(t *testing.T, dir string)) {
	t.Run("memory", func(t *testing.T) { run(t, "") })
	t.Run("disk", func(t *testing.T) { run(t, t.TempDir()) })
}

// The first read goes to L2 alone, the second promotes, the third is an L1 hit.
func TestPromotion(t *testing.T) {
	backings(t, func(t *testing.T, dir string) {
		s := new(source)
		m := s.add(t, 1, 8, 1000)
		c := newCache(t, s, &cache.Options{L1: 4000, L2: 6000, Dir: dir})
		wantHits(t, c, m, 1000, "0:disk_read 0:l2_hit 0:l1_hit 0:l1_hit")
		if s.opened(0) != 1 {
			t.Errorf("read %d times from the source", s.opened(0))
		}
		// One-off reads pass through L2 and leave L1 alone.
		wantHits(t, c, m, 1000,
			"1:disk_read 2:disk_read 3:disk_read 4:disk_read 5:disk_read 6:disk_read 7:disk_read 0:l1_hit")
		if n := c.Stats().L1Entries; n != 1 {
			t.Errorf("%d entries in L1, want 1", n)
		}
		// L1 is bounded by bytes: what was used the longest ago leaves, and is still in L2.
		wantHits(t, c, m, 1000, "4:l2_hit 5:l2_hit 6:l2_hit 0:l1_hit 7:l2_hit 0:l1_hit 4:l2_hit")
		st := c.Stats()
		if st.L1Bytes > 4000 || st.L2Bytes > 6000 || st.L1Hits != 5 || st.DiskReads != 8 {
			t.Errorf("%+v", st)
		}
		if dir != "" {
			if n := countFiles(t, dir); n != st.L2Entries {
				t.Errorf("%d files, %d entries", n, st.L2Entries)
			}
		}
	})
}

func countFiles(t *testing.T, dir string) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && len(d.Name()) == 64 {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// L2 keeps what is used often.
func TestFrequency(t *testing.T) {
	backings(t, func(t *testing.T, dir string) {
		s := new(source)
		m := s.add(t, 1, 30, 1000)
		c := newCache(t, s, &cache.Options{L1: -1, L2: 4000, Dir: dir})
		wantHits(t, c, m, 1000, "0:disk_read 0:l2_hit 0:l2_hit 0:l2_hit")
		for i := 1; i < 12; i++ {
			get(t, c, m.Ref(uint32(i)), content(1, i, 1000))
		}
		wantHits(t, c, m, 1000, "0:l2_hit")
	})
}

func TestTiersOff(t *testing.T) {
	s := new(source)
	m := s.add(t, 1, 8, 1000)
	c := newCache(t, s, &cache.Options{L1: -1, L2: 8000})
	wantHits(t, c, m, 1000, "0:disk_read 0:l2_hit 0:l2_hit")
	c = newCache(t, s, &cache.Options{L1: 8000, L2: -1})
	wantHits(t, c, m, 1000, "0:disk_read 0:l1_hit")
	c = newCache(t, s, &cache.Options{L1: -1, L2: -1})
	if _, _, err := c.Get(t.Context(), m.Ref(0), ""); !errors.Is(err, cache.ErrNotAdmitted) {
		t.Errorf("without tiers: %v", err)
	}
}

// A capsule above a quarter of a tier is not admitted to that tier.
func TestAdmission(t *testing.T) {
	backings(t, func(t *testing.T, dir string) {
		s := new(source)
		m := s.add(t, 1, 3, 1000)
		c := newCache(t, s, &cache.Options{L1: 3999, L2: 4000, Dir: dir})
		wantHits(t, c, m, 1000, "0:disk_read 0:l2_hit 0:l2_hit")
		release, err := c.Pin(t.Context(), m.Ref(0)) // loads it and pins nothing
		if err != nil {
			t.Fatal(err)
		}
		if st := c.Stats(); st.L1Entries != 0 || st.L1Bytes != 0 || st.L2Entries != 1 {
			t.Errorf("%+v", st)
		}
		release()
		s.err = fs.ErrPermission
		if _, err := c.Pin(t.Context(), m.Ref(1)); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("pin: %v", err)
		}
		large := new(source).add(t, 2, 1, 1001)
		if err := c.Put(large.Ref(0), large.Capsules[0], content(2, 0, 1001)); err != nil {
			t.Error(err)
		}
		if st := c.Stats(); st.L2Entries != 1 {
			t.Errorf("a large capsule is put: %+v", st)
		}
	})
	s := new(source)
	m := s.add(t, 1, 3, 1000)
	for name, o := range map[string]*cache.Options{
		"too large for L2":    {L1: 40_000, L2: 3999},
		"too large to load":   {L1: 40_000, L2: 40_000, Loading: 999},
		"all tiers too small": {L1: 100, L2: 100},
	} {
		c := newCache(t, s, o)
		if _, _, err := c.Get(t.Context(), m.Ref(0), ""); !errors.Is(err, cache.ErrNotAdmitted) {
			t.Errorf("%s: %v", name, err)
		}
		for range 2 {
			rc, err := c.Open(t.Context(), m.Capsules[0])
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(rc); err != nil || !bytes.Equal(b, content(1, 0, 1000)) {
				t.Errorf("%s: %d bytes, %v", name, len(b), err)
			}
			rc.Close()
		}
		s.err = fs.ErrPermission
		if rc, err := c.Open(t.Context(), m.Capsules[0]); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: a source that fails: %v, %v", name, rc, err)
		}
		s.err = nil
		if st := c.Stats(); st.Streamed != 3 || st.L1Bytes+st.L2Bytes != 0 {
			t.Errorf("%s: %+v", name, st)
		}
	}
}

// Content that does not verify is an error, is not kept, and is read anew the next time.
func TestDamagedSource(t *testing.T) {
	backings(t, func(t *testing.T, dir string) {
		s := new(source)
		m := s.add(t, 1, 1, 1000)
		c := newCache(t, s, &cache.Options{L1: 8000, L2: 8000, Dir: dir})
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

// A load goes on while somebody waits for it, and ends when nobody does.
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

// Absence is remembered for five seconds, or until the cache is told.
func TestAbsence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(source)
		other := new(source).add(t, 2, 1, 1000)
		c := newCache(t, s, nil)
		missing := func(want int) {
			t.Helper()
			if _, _, err := c.Get(t.Context(), other.Ref(0), ""); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%v", err)
			}
			if s.stats != want {
				t.Errorf("source was asked %d times, want %d", s.stats, want)
			}
		}
		missing(1)
		missing(1)
		time.Sleep(5*time.Second - time.Nanosecond)
		missing(1)
		time.Sleep(time.Nanosecond)
		missing(2)
		s.add(t, 2, 1, 1000)
		missing(2)
		c.Forget(other.Store)
		get(t, c, other.Ref(0), content(2, 0, 1000))
		third := new(source).add(t, 3, 1, 1000)
		if _, err := c.Stat(t.Context(), third.Ref(0)); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		s.add(t, 3, 1, 1000)
		if err := c.Put(third.Ref(0), third.Capsules[0], content(3, 0, 1000)); err != nil {
			t.Error(err)
		}
		if hit := get(t, c, third.Ref(0), content(3, 0, 1000)); hit != cache.L2Hit {
			t.Errorf("after Put: %v", hit)
		}
	})
}

// The head is asked for each time; a generation is not.
func TestDescriptors(t *testing.T) {
	s := new(source)
	old := s.add(t, 1, 1, 1000)
	c := newCache(t, s, nil)
	head := capsule.Ref{Store: old.Store}
	for range 2 {
		if d, err := c.Stat(t.Context(), head); err != nil || d != old.Capsules[0] {
			t.Errorf("%+v, %v", d, err)
		}
		if d, err := c.Stat(t.Context(), old.Ref(0)); err != nil || d != old.Capsules[0] {
			t.Errorf("%+v, %v", d, err)
		}
	}
	if s.stats != 3 {
		t.Errorf("source was asked %d times, want 3", s.stats)
	}
	newer := s.add(t, 1, 1, 2000)
	if d, err := c.Stat(t.Context(), head); err != nil || d != newer.Capsules[0] {
		t.Errorf("the new head: %+v, %v", d, err)
	}
}

// What the source cannot say now is an error, and is asked again.
func TestStatFails(t *testing.T) {
	s := new(source)
	m := s.add(t, 1, 1, 1000)
	c := newCache(t, s, nil)
	s.statErr = fs.ErrPermission
	if _, _, err := c.Get(t.Context(), m.Ref(0), ""); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("get: %v", err)
	}
	if _, err := c.Pin(t.Context(), m.Ref(0)); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("pin: %v", err)
	}
	s.statErr = nil
	wantHits(t, c, m, 1000, "0:disk_read")
}

func TestPut(t *testing.T) {
	backings(t, func(t *testing.T, dir string) {
		s := new(source)
		m := s.add(t, 1, 2, 1000)
		c := newCache(t, s, &cache.Options{L1: 8000, L2: 8000, Dir: dir})
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
		s := new(source)
		m := s.add(t, 1, 12, 1000)
		c := newCache(t, s, &cache.Options{L1: 4000, L2: 16_000, Dir: dir})
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

// After two neighbours the next two are loaded, into a quarter of L1, and never in the way of
// others.
func TestPrefetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(source)
		m := s.add(t, 1, 40, 1000)
		c := newCache(t, s, &cache.Options{L1: 8000, L2: 40_000})
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go c.Run(ctx)
		read := func(client string, i uint32) cache.Hit {
			t.Helper()
			b, hit, err := c.Get(t.Context(), m.Ref(i), client)
			if err != nil {
				t.Fatal(err)
			}
			b.Close()
			synctest.Wait()
			return hit
		}
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
		s := new(source)
		m := s.add(t, 1, 40, 1000)
		c := newCache(t, s, &cache.Options{L1: 8000, L2: 40_000})
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go c.Run(ctx)
		read := func(client string, i uint32) {
			t.Helper()
			b, _, err := c.Get(t.Context(), m.Ref(i), client)
			if err != nil {
				t.Fatal(err)
			}
			b.Close()
			synctest.Wait()
		}
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
		c2 := newCache(t, s, &cache.Options{L1: 8000, L2: 40_000, Prefetch: -1})
		go c2.Run(ctx)
		for i := range uint32(4) {
			b, _, err := c2.Get(t.Context(), m.Ref(i), "a")
			if err != nil {
				t.Fatal(err)
			}
			b.Close()
			synctest.Wait()
		}
		if n := c2.Stats().Prefetched; n != 0 {
			t.Errorf("%d prefetched although it is off", n)
		}
	})
}

// A cache that is opened again finds its files, trusts none of them, and leaves alone what is
// not its own.
func TestDiskAgain(t *testing.T) {
	s := new(source)
	m := s.add(t, 1, 6, 1000)
	dir := t.TempDir()
	o := &cache.Options{L1: -1, L2: 8000, Dir: dir}
	c := newCache(t, s, o)
	for i := range 6 {
		wantHits(t, c, m, 1000, fmt.Sprintf("%d:disk_read", i))
	}
	if _, err := cache.New(s, o); !errors.Is(err, diskfs.ErrLocked) {
		t.Errorf("a second cache in the directory: %v", err)
	}
	c.Close()
	file := func(i int) string {
		h := m.Capsules[i].Hash.String()
		return filepath.Join(dir, h[:2], h)
	}
	flipped := content(1, 1, 1000)
	flipped[500]++
	outside := filepath.Join(t.TempDir(), "outside")
	for _, err := range []error{
		os.WriteFile(file(1), flipped, 0o644),
		os.WriteFile(file(2), flipped[:999], 0o644),
		os.Remove(file(3)),
		os.WriteFile(file(0)+".7.tmp", []byte("torn"), 0o644),
		os.WriteFile(filepath.Join(dir, "README"), []byte("mine"), 0o644),
		os.WriteFile(filepath.Join(filepath.Dir(file(0)), "note"), []byte("mine"), 0o644),
		os.WriteFile(outside, content(1, 4, 1000), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if runtime.GOOS != "windows" {
		if err := errors.Join(os.Remove(file(4)), os.Symlink(outside, file(4))); err != nil {
			t.Fatal(err)
		}
	}
	c = newCache(t, s, o)
	if runtime.GOOS == "windows" {
		wantHits(t, c, m, 1000, "4:l2_hit")
	} else {
		wantHits(t, c, m, 1000, "4:disk_read")
	}
	wantHits(t, c, m, 1000, "0:l2_hit 1:disk_read 2:disk_read 3:disk_read 5:l2_hit 1:l2_hit")
	if st := c.Stats(); st.Mismatches != 2 {
		t.Errorf("%+v", st)
	}
	for _, name := range []string{filepath.Join(dir, "README"),
		filepath.Join(filepath.Dir(file(0)), "note"), outside} {
		if b, err := os.ReadFile(name); err != nil || len(b) == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(file(0) + ".7.tmp"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what a crash left is still there: %v", err)
	}
	// A file that changes while the cache is open is found as well.
	if err := os.WriteFile(file(5), content(2, 5, 1000), 0o644); err != nil {
		t.Fatal(err)
	}
	wantHits(t, c, m, 1000, "5:disk_read 5:l2_hit")
	// A smaller cache takes up as much as fits: the latest files.
	c.Close()
	c = newCache(t, s, &cache.Options{L1: -1, L2: 4000, Dir: dir})
	if st := c.Stats(); st.L2Bytes > 4000 || countFiles(t, dir) != st.L2Entries {
		t.Errorf("%+v, %d files", st, countFiles(t, dir))
	}
}

// A disk that fails switches the tier off for a minute; serving goes on.
func TestDiskFails(t *testing.T) {
	for n := 1; n < 60; n++ {
		s := new(source)
		m := s.add(t, 1, 4, 1000)
		now := time.Unix(1_700_000_000, 0)
		failing := diskfs.Fail(diskfs.OS(), n, errors.New("disk is full"), nil)
		c, err := cache.NewFS(s, &cache.Options{L1: 8000, L2: 8000, Dir: filepath.Join(t.TempDir(),
			"cache"), Now: func() time.Time { return now }}, failing)
		if err != nil {
			continue
		}
		for range 2 {
			for i := range 4 {
				get(t, c, m.Ref(uint32(i)), content(1, i, 1000))
			}
		}
		now = now.Add(61 * time.Second)
		for range 3 {
			for i := range 4 {
				get(t, c, m.Ref(uint32(i)), content(1, i, 1000))
			}
		}
		if st := c.Stats(); st.L2Entries != 4 {
			t.Errorf("operation %d: %+v", n, st)
		}
		c.Close()
	}
}

// While the tier is off nothing is written; a minute later it is on again.
func TestDiskOff(t *testing.T) {
	s := new(source)
	m := s.add(t, 1, 4, 1000)
	now := time.Unix(1_700_000_000, 0)
	var full error
	writes := 0
	fsys := diskfs.Before(diskfs.OS(), func(op, _ string) error {
		if op == "write" {
			writes++
			return full
		}
		return nil
	})
	c, err := cache.NewFS(s, &cache.Options{L1: 8000, L2: 8000, Dir: t.TempDir(),
		Now: func() time.Time { return now }}, fsys)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	full = errors.New("disk is full")
	wantHits(t, c, m, 1000, "0:disk_read 1:disk_read 0:disk_read")
	if writes != 1 {
		t.Errorf("%d writes, want 1", writes)
	}
	full = nil
	now = now.Add(59 * time.Second)
	wantHits(t, c, m, 1000, "0:disk_read")
	now = now.Add(time.Second)
	wantHits(t, c, m, 1000, "0:disk_read 0:l2_hit 0:l1_hit")
}

// A large capsule is served from its file, which is verified once.
func TestServedFromFile(t *testing.T) {
	s := new(source)
	m := s.add(t, 1, 2, 1000)
	dir := t.TempDir()
	c := newCache(t, s, &cache.Options{L1: 3999, L2: 8000, Dir: dir})
	wantHits(t, c, m, 1000, "0:disk_read 0:l2_hit 0:l2_hit")
	rc, err := c.Open(t.Context(), m.Capsules[0])
	if err != nil {
		t.Fatal(err)
	}
	c.RemoveHash(m.Capsules[0].Hash)
	if b, err := io.ReadAll(rc); err != nil || !bytes.Equal(b, content(1, 0, 1000)) {
		t.Errorf("a file that has left the cache: %d bytes, %v", len(b), err)
	}
	rc.Close()
	wantHits(t, c, m, 1000, "0:disk_read")
}

// cached is a store that is read through a cache.
type cached struct {
	*capsule.Memory
	cache *cache.Cache
}

func (s cached) Stat(ctx context.Context, ref capsule.Ref) (capsule.Descriptor, error) {
	return s.cache.Stat(ctx, ref)
}

func (s cached) Open(ctx context.Context, d capsule.Descriptor) (io.ReadCloser, error) {
	return s.cache.Open(ctx, d)
}

func (s cached) Commit(ctx context.Context, m *capsule.Manifest) error {
	err := s.Memory.Commit(ctx, m)
	s.cache.Forget(m.Store)
	return err
}

func (s cached) Close() error { return s.cache.Close() }

// A store behind a cache is a store, whatever the cache holds.
func TestAsStore(t *testing.T) {
	for name, o := range map[string]cache.Options{
		"default": {}, "tiny": {L1: 20_000, L2: 100_000}, "off": {L1: -1,
			L2: -1}, "disk": {L1: 20_000, L2: 1 << 20, Dir: "x"},
	} {
		t.Run(name, func(t *testing.T) {
			capsuletest.TestStore(t, func(t *testing.T) capsuletest.Instance {
				m := new(capsule.Memory)
				if o.Dir != "" {
					o.Dir = t.TempDir()
				}
				return capsuletest.Instance{Open: func(t *testing.T) capsule.Store {
					return cached{m, newCache(t, m, &o)}
				}}
			})
		})
	}
}

// A cache in front of a source is a source.
func TestAsSource(t *testing.T) {
	for name, o := range map[string]cache.Options{
		"default": {}, "tiny": {L1: 20_000, L2: 100_000}, "off": {L1: -1,
			L2: -1}, "disk": {L1: 20_000, L2: 1 << 20, Dir: "x"},
	} {
		t.Run(name, func(t *testing.T) {
			capsuletest.TestSource(t, func(t *testing.T,
				held []capsuletest.Holding) capsule.Source {
				if o.Dir != "" {
					o.Dir = t.TempDir()
				}
				return newCache(t, newHeld(held), &o)
			})
		})
	}
}

// held is a source of some capsules of some generations.
type held struct {
	stat    map[capsule.Ref]capsule.Descriptor
	content map[merkle.Hash][]byte
}

func newHeld(list []capsuletest.Holding) held {
	s := held{map[capsule.Ref]capsule.Descriptor{}, map[merkle.Hash][]byte{}}
	for _, h := range list {
		for i, b := range h.Content {
			d, ref := h.Manifest.Capsules[i], h.Manifest.Ref(i)
			s.stat[ref], s.content[d.Hash] = d, b
			ref.Root = merkle.Hash{}
			s.stat[ref] = d
		}
	}
	return s
}

func (s held) Stat(ctx context.Context, ref capsule.Ref) (capsule.Descriptor, error) {
	d, ok := s.stat[ref]
	if !ok {
		return d, fs.ErrNotExist
	}
	return d, ctx.Err()
}

func (s held) Open(ctx context.Context, d capsule.Descriptor) (io.ReadCloser, error) {
	b, ok := s.content[d.Hash]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(b)), ctx.Err()
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

func ExampleCache() {
	ctx := context.Background()
	store := new(capsule.Memory)
	m, err := capsule.Split(ctx, auth.StoreID{1}, strings.NewReader("read again and again"), nil,
		func(d capsule.Descriptor, r io.Reader) error { return store.Put(ctx, d, r) })
	if err != nil {
		panic(err)
	}
	if err := store.Commit(ctx, m); err != nil {
		panic(err)
	}
	c, err := cache.New(store, nil)
	if err != nil {
		panic(err)
	}
	defer c.Close()
	for range 3 {
		b, hit, err := c.Get(ctx, m.Ref(0), "client")
		if err != nil {
			panic(err)
		}
		fmt.Println(hit, b.Size())
		b.Close()
	}
	// Output:
	// disk_read 20
	// l2_hit 20
	// l1_hit 20
}
