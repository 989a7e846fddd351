package cache_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/cache"
	"github.com/dig-network/digstore/internal/diskfs"
)

const streamed = 1 << 20

// streamSource gives content piece by piece, as plots do.
type streamSource struct {
	source
	gate   chan bool // nil: open; each value lets one Read through
	breaks int       // the Read, from 1, that fails; 0: none
	wrong  bool      // give other bytes than those described
	known  bool      // what is wrong is not noticed
	opened atomic.Int32
}

var errBroken = errors.New("block is damaged")

func (s *streamSource) Open(ctx context.Context, d capsule.Descriptor) (io.ReadCloser, error) {
	s.opened.Add(1)
	rc, err := s.Memory.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	return &streamReader{rc, s, 0}, nil
}

type streamReader struct {
	io.ReadCloser
	s *streamSource
	n int
}

func (r *streamReader) HashKnown() bool { return r.s.known }

func (r *streamReader) Read(p []byte) (int, error) {
	if r.s.gate != nil {
		<-r.s.gate
	}
	if r.n++; r.n == r.s.breaks {
		return 0, errBroken
	}
	n, err := r.ReadCloser.Read(p)
	if r.s.wrong && n > 0 {
		p[0] ^= 1
	}
	return n, err
}

func newStream(t *testing.T, dir string) (*streamSource, *capsule.Manifest, *cache.Cache) {
	t.Helper()
	s := &streamSource{}
	m := s.add(t, 1, 2, streamed)
	return s, m, newCache(t, s, &cache.Options{L1: 8 * streamed, L2: 8 * streamed, Dir: dir})
}

// The first bytes are handed out before the last ones are read, and all who read share one load.
func TestStreamed(t *testing.T) {
	backings(t, func(t *testing.T, dir string) {
		s, m, c := newStream(t, dir)
		s.gate = make(chan bool, 100)
		want := content(1, 0, streamed)
		s.gate <- true
		var blobs []*cache.Blob
		for range 3 {
			b, hit, err := c.Get(t.Context(), m.Ref(0), "")
			if err != nil || hit != cache.DiskRead {
				t.Fatalf("%v, %v", hit, err)
			}
			blobs = append(blobs, b)
			part := make([]byte, 1000)
			if _, err := b.ReadAt(part, 50); err != nil || !bytes.Equal(part, want[50:1050]) {
				t.Fatalf("first bytes: %v", err)
			}
		}
		for range 50 {
			s.gate <- true
		}
		for _, b := range blobs {
			got, err := io.ReadAll(b.Reader())
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
			if n, err := b.ReadAt(make([]byte, 10), streamed-4); n != 4 || err != io.EOF {
				t.Errorf("at the end: %d bytes, %v", n, err)
			}
			if _, err := b.ReadAt(make([]byte, 1), -1); err == nil || err == io.EOF {
				t.Errorf("before the beginning: %v", err)
			}
			b.Close()
		}
		if n := s.opened.Load(); n != 1 {
			t.Errorf("opened %d times", n)
		}
		c.Settle()
		wantHits(t, c, m, streamed, "0:l2_hit 0:l1_hit")
	})
}

// Reads in turn find the disk, L2 and L1, whether or not the content has been taken up meanwhile.
func TestStreamedOutcomes(t *testing.T) {
	backings(t, func(t *testing.T, dir string) {
		for range 20 {
			_, m, c := newStream(t, dir)
			for _, want := range []cache.Hit{cache.DiskRead, cache.L2Hit, cache.L1Hit} {
				b, hit, err := c.Get(t.Context(), m.Ref(0), "")
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, b.Reader()); err != nil || hit != want {
					t.Fatalf("%v, %v, expected %v", hit, err, want)
				}
			}
			c.Settle()
			st := c.Stats()
			if st.DiskReads != 1 || st.L2Hits != 1 || st.L1Hits != 1 || st.L1Entries != 1 ||
				st.L2Entries != 1 {
				t.Fatalf("%+v", st)
			}
			c.RemoveHash(m.Capsules[0].Hash)
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A source that fails in the middle, or lies about what it has verified, is not taken up.
func TestStreamedDamage(t *testing.T) {
	for _, lies := range []bool{false, true} {
		s, m, c := newStream(t, "")
		want := content(1, 0, streamed)
		if s.wrong = lies; !lies {
			s.breaks = 3
		}
		b, _, err := c.Get(t.Context(), m.Ref(0), "")
		if err != nil && (lies || !errors.Is(err, errBroken)) {
			t.Fatal(err)
		}
		var got []byte
		if err == nil { // the load had not failed yet
			got, err = io.ReadAll(b.Reader())
		}
		if !lies && (!errors.Is(err, errBroken) || !bytes.Equal(got, want[:len(got)]) ||
			len(got) == streamed) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		c.Settle()
		if st := c.Stats(); st.L2Entries != 0 || lies != (st.Mismatches == 1) {
			t.Errorf("lies %v: %+v", lies, st)
		}
		s.breaks, s.wrong = 0, false
		wantHits(t, c, m, streamed, "0:disk_read 0:l2_hit")
	}
	s, m, c := newStream(t, "")
	s.wrong, s.known = true, true
	b, _, err := c.Get(t.Context(), m.Ref(0), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, b.Reader()); err != nil {
		t.Error(err)
	}
	c.Settle()
	if st := c.Stats(); st.L2Entries != 1 || st.Mismatches != 0 {
		t.Errorf("hashed once more: %+v", st)
	}
}

// A read whose context ends is over, and the load goes on for the others.
func TestStreamedContext(t *testing.T) {
	s, m, c := newStream(t, "")
	s.gate = make(chan bool, 100)
	s.gate <- true
	ctx, cancel := context.WithCancel(t.Context())
	b, _, err := c.Get(ctx, m.Ref(0), "")
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := c.Get(t.Context(), m.Ref(0), "")
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.ReadAll(b.Reader()); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of the context: %v", err)
	}
	for range 50 {
		s.gate <- true
	}
	got, err := io.ReadAll(other.Reader())
	if err != nil || !bytes.Equal(got, content(1, 0, streamed)) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// What is pinned while it is still being read is pinned whole; what is removed meanwhile is not
// taken up.
func TestStreamedPinAndRemove(t *testing.T) {
	s, m, c := newStream(t, "")
	s.gate = make(chan bool, 100)
	s.gate <- true
	first, _, err := c.Get(t.Context(), m.Ref(0), "")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		release, err := c.Pin(t.Context(), m.Ref(0))
		if err == nil {
			release()
		}
		ended <- err
	}()
	for range 50 {
		s.gate <- true
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	first.Close()
	c.Settle()
	s.gate = make(chan bool, 100)
	s.gate <- true
	b, _, err := c.Get(t.Context(), m.Ref(1), "")
	if err != nil {
		t.Fatal(err)
	}
	c.RemoveHash(m.Capsules[1].Hash)
	for range 50 {
		s.gate <- true
	}
	if got, err := io.ReadAll(b.Reader()); err != nil || len(got) != streamed {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	c.Settle()
	s.gate = nil
	wantHits(t, c, m, streamed, "1:disk_read")
}

// Writing the file of L2 holds up no read.
func TestWrittenBehind(t *testing.T) {
	for _, stream := range []bool{false, true} {
		written := make(chan bool)
		fsys := diskfs.Before(diskfs.OS(), func(op, _ string) error {
			if op == "write" {
				<-written
			}
			return nil
		})
		s := &streamSource{}
		m := s.add(t, 1, 1, 1000)
		var src capsule.Source = s
		if !stream {
			src = &s.source
		}
		c, err := cache.NewFS(src, &cache.Options{L1: 8000, L2: 8000, Dir: t.TempDir()}, fsys)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []cache.Hit{cache.DiskRead, cache.L2Hit, cache.L1Hit} {
			b, hit, err := c.Get(t.Context(), m.Ref(0), "")
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(b.Reader())
			if err != nil || hit != want || !bytes.Equal(got, content(1, 0, 1000)) {
				t.Errorf("stream %v: %v, %d bytes, %v, expected %v", stream, hit, len(got), err, want)
			}
		}
		close(written)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
