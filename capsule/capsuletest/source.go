package capsuletest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"sync"
	"testing"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
)

// TestSource runs the suite for a capsule.Source that is only read. Each subtest asks for a source
// of so many holdings, at most one of each datastore, once or twice; a source that is an io.Closer
// is closed. Interfaces that the source has beyond capsule.Source are tested as by TestStore.
func TestSource(t *testing.T, of func(t *testing.T, held []Holding) capsule.Source) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, *sourceTest)
	}{
		{"Absent", testSourceAbsent},
		{"RoundTrip", testSourceRoundTrip},
		{"Part", testSourcePart},
		{"SharedContent", testSourceShared},
		{"Mismatch", testSourceMismatch},
		{"Cancelled", testSourceCancelled},
		{"Concurrent", testSourceConcurrent},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, &sourceTest{of}) })
	}
}

type sourceTest struct {
	of func(t *testing.T, held []Holding) capsule.Source
}

// holds returns a source of whole generations.
func (s *sourceTest) holds(t *testing.T, all ...Generation) capsule.Source {
	t.Helper()
	var held []Holding
	for _, g := range all {
		h := Holding{Manifest: g.Manifest, Content: map[uint32][]byte{}}
		for i, b := range g.Content {
			h.Content[uint32(i)] = b
		}
		held = append(held, h)
	}
	return s.open(t, held)
}

func (s *sourceTest) open(t *testing.T, held []Holding) capsule.Source {
	t.Helper()
	src := s.of(t, held)
	t.Cleanup(func() {
		if c, ok := src.(io.Closer); ok {
			c.Close()
		}
	})
	return src
}

func testSourceAbsent(t *testing.T, s *sourceTest) {
	g, other := Split(t, 1, 1000, tree(1)[:2500]), Split(t, 2, 1000, tree(2)[:2500])
	older := Split(t, 1, 1000, tree(3)[:2500])
	src := s.holds(t, g)
	has(t, src, g, true)
	for _, missing := range []Generation{other, older} {
		lacks(t, src, missing)
		if _, err := src.Open(t.Context(), missing.Capsules[0]); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("open: %v, want fs.ErrNotExist", err)
		}
	}
	if _, err := src.Stat(t.Context(), capsule.Ref{Store: other.Store}); !errors.Is(err,
		fs.ErrNotExist) {
		t.Errorf("stat of the head of a datastore that is not there: %v, want fs.ErrNotExist", err)
	}
}

func testSourceRoundTrip(t *testing.T, s *sourceTest) {
	small := tree(2)
	all := []Generation{
		Split(t, 1, 100_000, small), Split(t, 2, 0, nil), Split(t, 3, 4096, small[:4096*3]),
	}
	for i, n := range []int{1, 4095, 4097, capsule.BlockSize, capsule.BlockSize + 1} {
		all = append(all, Split(t, byte(4+i), 0, small[:n]))
	}
	src := s.holds(t, all...)
	for _, g := range all {
		has(t, src, g, true)
	}
}

// Of a generation that is held in part, the capsules that are there are found.
func testSourcePart(t *testing.T, s *sourceTest) {
	g := Split(t, 1, 1000, tree(4)[:3500])
	src := s.open(t, []Holding{{Manifest: g.Manifest,
		Content: map[uint32][]byte{0: g.Content[0], 2: g.Content[2]}}})
	for i, d := range g.Capsules {
		got, err := src.Stat(t.Context(), g.Ref(uint32(i)))
		if i%2 == 0 {
			if err != nil || got != d {
				t.Errorf("stat capsule %d: %+v, %v", i, got, err)
			}
			opens(t, src, d, g.Content[i])
			continue
		}
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("stat capsule %d: %v, want fs.ErrNotExist", i, err)
		}
		if _, err := src.Open(t.Context(), d); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("open capsule %d: %v, want fs.ErrNotExist", i, err)
		}
	}
}

func testSourceShared(t *testing.T, s *sourceTest) {
	one := tree(10)[:1000]
	a := Split(t, 1, 1000, slices.Concat(one, one, one))
	b := Split(t, 2, 1000, slices.Concat(tree(11)[:1000], one))
	src := s.holds(t, a, b)
	has(t, src, a, true)
	has(t, src, b, true)
}

// A descriptor that is not that of the content never gives content that verifies.
func testSourceMismatch(t *testing.T, s *sourceTest) {
	g := Split(t, 1, 300_000, tree(5)[:200_000])
	src := s.holds(t, g)
	d := g.Capsules[0]
	for name, d := range map[string]capsule.Descriptor{
		"a larger size":      {Size: d.Size + 1, Hash: d.Hash, ChunkRoot: d.ChunkRoot},
		"a smaller size":     {Size: d.Size - 1, Hash: d.Hash, ChunkRoot: d.ChunkRoot},
		"another chunk root": {Size: d.Size, Hash: d.Hash, ChunkRoot: merkle.Hash{1}},
	} {
		rc, err := src.Open(t.Context(), d)
		if err != nil {
			continue
		}
		_, err = io.Copy(io.Discard, capsule.VerifyReader(rc, d))
		if err == nil {
			t.Errorf("%s: opened and verified", name)
		}
		rc.Close()
	}
	// Without a chunk root the hash decides.
	withoutRoot := d
	withoutRoot.ChunkRoot = merkle.Hash{}
	opens(t, src, withoutRoot, g.Content[0])
}

func testSourceCancelled(t *testing.T, s *sourceTest) {
	g := Split(t, 1, 1000, tree(13)[:1500])
	src := s.holds(t, g)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, err := range map[string]error{
		"stat": second(src.Stat(ctx, g.Ref(0))),
		"open": second(src.Open(ctx, g.Capsules[0])),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want context.Canceled", name, err)
		}
	}
}

// Many readers at once; run it under the race detector.
func testSourceConcurrent(t *testing.T, s *sourceTest) {
	g := Split(t, 1, 50_000, tree(15)[:400_000])
	src := s.holds(t, g)
	shared, err := src.Open(t.Context(), g.Capsules[0])
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	at, _ := shared.(io.ReaderAt)
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			for i := range 20 {
				i = (i + n) % len(g.Capsules)
				d, err := src.Stat(t.Context(), g.Ref(uint32(i)))
				if err != nil || d != g.Capsules[i] {
					t.Errorf("stat capsule %d: %+v, %v", i, d, err)
					return
				}
				rc, err := src.Open(t.Context(), d)
				if err != nil {
					t.Errorf("open capsule %d: %v", i, err)
					return
				}
				b, err := io.ReadAll(capsule.VerifyReader(rc, d))
				if err != nil || !bytes.Equal(b, g.Content[i]) {
					t.Errorf("read capsule %d: %d bytes, %v", i, len(b), err)
				}
				rc.Close()
				if at == nil {
					continue
				}
				part := make([]byte, 1000)
				if _, err := at.ReadAt(part, int64(i)*1000); err != nil ||
					!bytes.Equal(part, g.Content[0][i*1000:][:1000]) {
					t.Errorf("read at %d: %v", i*1000, err)
				}
			}
		})
	}
	wg.Wait()
}

// has checks that a source holds all of g, under its root and, when it is the head, without one.
func has(t *testing.T, s capsule.Source, g Generation, head bool) {
	t.Helper()
	for i, want := range g.Capsules {
		for _, root := range []merkle.Hash{g.Root, {}} {
			if root.IsZero() && !head {
				continue
			}
			ref := capsule.Ref{Store: g.Store, Root: root, Index: uint32(i)}
			if got, err := s.Stat(t.Context(), ref); err != nil || got != want {
				t.Fatalf("stat %v: %+v, %v, want %+v", ref, got, err, want)
			}
		}
		opens(t, s, want, g.Content[i])
	}
	past := capsule.Ref{Store: g.Store, Root: g.Root, Index: uint32(len(g.Capsules))}
	if _, err := s.Stat(t.Context(), past); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stat of an index past the end: %v, want fs.ErrNotExist", err)
	}
	l, ok := s.(capsule.Lister)
	if !ok {
		return
	}
	for _, root := range []merkle.Hash{g.Root, {}} {
		if root.IsZero() && !head {
			continue
		}
		m, err := l.Manifest(t.Context(), g.Store, root)
		if err != nil {
			t.Fatalf("manifest of root %v: %v", root, err)
		}
		got, gerr := m.MarshalJSON()
		want, werr := g.MarshalJSON()
		if gerr != nil || werr != nil || !bytes.Equal(got, want) {
			t.Errorf("manifest of root %v: %s, %v, want %s, %v", root, got, gerr, want, werr)
		}
	}
}

// opens checks that d opens as content, in all the ways in which it can be read.
func opens(t *testing.T, s capsule.Source, d capsule.Descriptor, content []byte) {
	t.Helper()
	rc, err := s.Open(t.Context(), d)
	if err != nil {
		t.Fatalf("open capsule of %d bytes: %v", d.Size, err)
	}
	defer rc.Close()
	if at, ok := rc.(io.ReaderAt); ok {
		p := make([]byte, min(100, len(content)))
		off := len(content) - len(p)
		n, err := at.ReadAt(p, int64(off))
		if n != len(p) || err != nil && err != io.EOF || !bytes.Equal(p, content[off:]) {
			t.Errorf("read %d bytes at %d: %d, %v", len(p), off, n, err)
		}
	}
	got, err := io.ReadAll(rc)
	if err != nil || !bytes.Equal(got, content) {
		t.Fatalf("read capsule of %d bytes: %d bytes, %v", d.Size, len(got), err)
	}
	if sk, ok := rc.(io.Seeker); ok {
		if _, err := sk.Seek(0, io.SeekStart); err != nil {
			t.Errorf("seek: %v", err)
		} else if got, err := io.ReadAll(rc); err != nil || !bytes.Equal(got, content) {
			t.Errorf("read again after a seek: %d bytes, %v", len(got), err)
		}
	}
}

// lacks checks that what is named is absent.
func lacks(t *testing.T, s capsule.Source, g Generation) {
	t.Helper()
	for i := range g.Capsules {
		if _, err := s.Stat(t.Context(), g.Ref(uint32(i))); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("stat %v: %v, want fs.ErrNotExist", g.Ref(uint32(i)), err)
		}
	}
	if l, ok := s.(capsule.Lister); ok {
		if _, err := l.Manifest(t.Context(), g.Store, g.Root); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("manifest of root %v: %v, want fs.ErrNotExist", g.Root, err)
		}
	}
}
