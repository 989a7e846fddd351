package cache_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/cache"
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

// setUp returns a source with a generation of count capsules of 1000 bytes, and a cache in front
// of it.
func setUp(t testing.TB, count int, o *cache.Options) (*source, *capsule.Manifest, *cache.Cache) {
	t.Helper()
	s := new(source)
	return s, s.add(t, 1, count, 1000), newCache(t, s, o)
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
	c.Settle()
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
		s, m, c := setUp(t, 8, &cache.Options{L1: 4000, L2: 6000, Dir: dir})
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

// L2 keeps what is used often.
func TestFrequency(t *testing.T) {
	backings(t, func(t *testing.T, dir string) {
		_, m, c := setUp(t, 30, &cache.Options{L1: -1, L2: 4000, Dir: dir})
		wantHits(t, c, m, 1000, "0:disk_read 0:l2_hit 0:l2_hit 0:l2_hit")
		for i := 1; i < 12; i++ {
			get(t, c, m.Ref(uint32(i)), content(1, i, 1000))
		}
		wantHits(t, c, m, 1000, "0:l2_hit")
	})
}

func TestTiersOff(t *testing.T) {
	s, m, c := setUp(t, 8, &cache.Options{L1: -1, L2: 8000})
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
		s, m, c := setUp(t, 3, &cache.Options{L1: 3999, L2: 4000, Dir: dir})
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
