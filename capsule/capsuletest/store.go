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
	"testing/iotest"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/merkle"
)

// Instance is one store under test. Open is called once at first and again whenever the suite
// wants to see what a fresh instance finds; the instance before, when it is an io.Closer, has
// been closed then. A store that keeps nothing beyond its life returns the same value each time.
type Instance struct {
	Open func(t *testing.T) capsule.Store
}

// TestStore runs the suite; each subtest asks for an Instance of its own, which is empty.
// Interfaces that the store has beyond capsule.Store (capsule.Lister, and io.Seeker and
// io.ReaderAt of what it opens) are tested too.
func TestStore(t *testing.T, empty func(t *testing.T) Instance) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, *storeTest)
	}{
		{"Absent", testAbsent},
		{"RoundTrip", testRoundTrip},
		{"Unseen", testUnseen},
		{"Mismatch", testMismatch},
		{"Broken", testBroken},
		{"CommitRefused", testCommitRefused},
		{"Generations", testGenerations},
		{"SharedContent", testSharedContent},
		{"Statement", testStatement},
		{"Cancelled", testCancelled},
		{"Concurrent", testConcurrent},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &storeTest{instance: empty(t)}
			s.Store = s.instance.Open(t)
			t.Cleanup(s.close)
			c.run(t, s)
		})
	}
}

type storeTest struct {
	capsule.Store
	instance Instance
}

func (s *storeTest) close() {
	if c, ok := s.Store.(io.Closer); ok {
		c.Close()
	}
}

// again has everything that follows see a fresh instance.
func (s *storeTest) again(t *testing.T) {
	t.Helper()
	s.close()
	s.Store = s.instance.Open(t)
}

// tree is the content of a small tree of files, at most 1 MiB.
func tree(seed uint64) []byte {
	b := corpus.Small(seed).Concat()
	return b[:min(len(b), 1<<20)]
}

func (s *storeTest) put(t *testing.T, g Generation) {
	t.Helper()
	for i, d := range g.Capsules {
		if err := s.Put(t.Context(), d, bytes.NewReader(g.Content[i])); err != nil {
			t.Fatalf("put capsule %d of %d bytes: %v", i, d.Size, err)
		}
	}
}

func (s *storeTest) commit(t *testing.T, g Generation) {
	t.Helper()
	if err := s.Commit(t.Context(), g.Manifest); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

func (s *storeTest) has(t *testing.T, g Generation, head bool) {
	t.Helper()
	has(t, s.Store, g, head)
}

func (s *storeTest) opens(t *testing.T, d capsule.Descriptor, content []byte) {
	t.Helper()
	opens(t, s.Store, d, content)
}

func (s *storeTest) lacks(t *testing.T, g Generation) {
	t.Helper()
	lacks(t, s.Store, g)
}

func (s *storeTest) lists(t *testing.T, want ...auth.StoreID) {
	t.Helper()
	l, ok := s.Store.(capsule.Lister)
	if !ok {
		return
	}
	var got []auth.StoreID
	for id, err := range l.Stores(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, id)
	}
	if !slices.Equal(got, want) {
		t.Errorf("stores %v, want %v", got, want)
	}
}

func testAbsent(t *testing.T, s *storeTest) {
	g := Split(t, 1, 1000, tree(1)[:2500])
	for range 2 {
		s.lacks(t, g)
		s.lists(t)
		if _, err := s.Stat(t.Context(), capsule.Ref{Store: g.Store}); !errors.Is(err,
			fs.ErrNotExist) {
			t.Errorf("stat of the head: %v, want fs.ErrNotExist", err)
		}
		if _, err := s.Open(t.Context(), g.Capsules[0]); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("open: %v, want fs.ErrNotExist", err)
		}
		s.again(t)
	}
}

func testRoundTrip(t *testing.T, s *storeTest) {
	small := tree(2)
	all := []Generation{Split(t, 1, 100_000, small), Split(t, 2, 0, nil), Split(t, 3, 4096,
		small[:4096*3])}
	for i, n := range []int{1, 4095, 4097, capsule.BlockSize, capsule.BlockSize + 1} {
		all = append(all, Split(t, byte(4+i), 0, small[:n]))
	}
	for _, g := range all {
		s.put(t, g)
		s.commit(t, g)
	}
	for range 2 {
		var ids []auth.StoreID
		for _, g := range all {
			s.has(t, g, true)
			ids = append(ids, g.Store)
		}
		s.lists(t, ids...)
		s.again(t)
	}
}

// What was put but not committed can be opened, and cannot be found by its place.
func testUnseen(t *testing.T, s *storeTest) {
	g := Split(t, 1, 1000, tree(3)[:2500])
	s.put(t, g)
	s.lacks(t, g)
	s.lists(t)
	for i, d := range g.Capsules {
		s.opens(t, d, g.Content[i])
	}
	s.commit(t, g)
	s.again(t)
	s.has(t, g, true)
}

// Content that does not match is refused and leaves nothing.
func testMismatch(t *testing.T, s *storeTest) {
	g := Split(t, 1, 300_000, tree(4)[:200_000])
	d, content := g.Capsules[0], g.Content[0]
	flipped := slices.Clone(content)
	flipped[len(flipped)-1] ^= 1
	for _, c := range []struct {
		name    string
		d       capsule.Descriptor
		content []byte
	}{
		{"flipped bit", d, flipped},
		{"short", d, content[:len(content)-1]},
		{"empty", d, nil},
		{"long", d, append(slices.Clone(content), 0)},
		{"chunk root", capsule.Descriptor{Size: d.Size, Hash: d.Hash, ChunkRoot: merkle.Hash{1}},
			content},
		{"size", capsule.Descriptor{Size: d.Size - 1, Hash: d.Hash, ChunkRoot: d.ChunkRoot},
			content},
	} {
		if err := s.Put(t.Context(), c.d, bytes.NewReader(c.content)); !errors.Is(err,
			capsule.ErrContentMismatch) {
			t.Errorf("%s: %v, want ErrContentMismatch", c.name, err)
		}
		if _, err := s.Open(t.Context(), d); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: open: %v, want fs.ErrNotExist", c.name, err)
		}
	}
	s.put(t, g)
	if err := s.Put(t.Context(), d, bytes.NewReader(flipped)); !errors.Is(err,
		capsule.ErrContentMismatch) {
		t.Errorf("flipped bit of what is there: %v, want ErrContentMismatch", err)
	}
	s.put(t, g) // again
	withoutRoot := d
	withoutRoot.ChunkRoot = merkle.Hash{}
	if err := s.Put(t.Context(), withoutRoot, bytes.NewReader(content)); err != nil {
		t.Errorf("without a chunk root: %v", err)
	}
	s.commit(t, g)
	s.again(t)
	s.has(t, g, true)
	other := d
	other.Size++
	if rc, err := s.Open(t.Context(), other); err == nil {
		rc.Close()
		t.Error("open with another size: opened")
	}
}

// A reader that fails is the error of Put, and small reads are as good as large ones.
func testBroken(t *testing.T, s *storeTest) {
	g := Split(t, 1, 0, tree(5)[:100_000])
	broken := errors.New("broken")
	r := io.MultiReader(bytes.NewReader(g.Content[0][:50_000]), iotest.ErrReader(broken))
	if err := s.Put(t.Context(), g.Capsules[0], r); !errors.Is(err, broken) {
		t.Errorf("put: %v, want the reader's error", err)
	}
	if _, err := s.Open(t.Context(), g.Capsules[0]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open: %v, want fs.ErrNotExist", err)
	}
	if err := s.Put(t.Context(), g.Capsules[0], new(endless)); !errors.Is(err,
		capsule.ErrContentMismatch) {
		t.Errorf("put of an endless reader: %v, want ErrContentMismatch", err)
	}
	if err := s.Put(t.Context(), g.Capsules[0],
		iotest.DataErrReader(iotest.HalfReader(bytes.NewReader(g.Content[0])))); err != nil {
		t.Error(err)
	}
	s.commit(t, g)
	s.again(t)
	s.has(t, g, true)
}

// An endless reader has no end, but fails after 64 MiB, which is more than any capsule here.
type endless struct{ n int }

func (e *endless) Read(p []byte) (int, error) {
	if e.n += len(p); e.n > 64<<20 {
		return 0, errors.New("read past any capsule")
	}
	return len(p), nil
}

// A generation appears whole or not at all.
func testCommitRefused(t *testing.T, s *storeTest) {
	g := Split(t, 1, 1000, tree(6)[:3500])
	for i, d := range g.Capsules {
		if i == 2 {
			continue
		}
		if err := s.Put(t.Context(), d, bytes.NewReader(g.Content[i])); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Commit(t.Context(), g.Manifest); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a capsule is missing: %v, want fs.ErrNotExist", err)
	}
	s.lacks(t, g)
	bad := *g.Manifest
	bad.Root[0]++
	if err := s.Commit(t.Context(), &bad); !errors.Is(err, capsule.ErrManifest) {
		t.Errorf("a root that does not fold: %v, want ErrManifest", err)
	}
	if err := s.Commit(t.Context(), &capsule.Manifest{Store: g.Store}); !errors.Is(err,
		capsule.ErrManifest) {
		t.Errorf("no capsules: %v, want ErrManifest", err)
	}
	sized := &capsule.Manifest{Store: g.Store, Capsules: []capsule.Descriptor{g.Capsules[0]}}
	sized.Capsules[0].Size++
	sized.Root = sized.Capsules[0].Leaf()
	if err := s.Commit(t.Context(), sized); err == nil {
		t.Error("a size that is not the content's: committed")
	}
	s.lists(t)
	s.again(t)
	s.lacks(t, g)
	if err := s.Put(t.Context(), g.Capsules[2], bytes.NewReader(g.Content[2])); err != nil {
		t.Fatal(err)
	}
	s.put(t, g) // a store may forget what was not committed when it is opened again
	s.commit(t, g)
	s.again(t)
	s.has(t, g, true)
}

func testGenerations(t *testing.T, s *storeTest) {
	a, b := Split(t, 1, 1000, tree(7)[:3500]), Split(t, 1, 1000, tree(8)[:1500])
	other := Split(t, 2, 1000, tree(9)[:500])
	for _, g := range []Generation{a, b, other} {
		s.put(t, g)
	}
	s.commit(t, a)
	s.commit(t, other)
	s.commit(t, b)
	for range 2 {
		s.has(t, b, true)
		s.has(t, a, false)
		s.has(t, other, true)
		s.lists(t, a.Store, other.Store)
		s.again(t)
	}
	s.commit(t, a)
	s.commit(t, a)
	for range 2 {
		s.has(t, a, true)
		s.has(t, b, false)
		s.again(t)
	}
}

// Equal capsules, of one generation or of several, are found at all their places.
func testSharedContent(t *testing.T, s *storeTest) {
	one := tree(10)[:1000]
	a := Split(t, 1, 1000, slices.Concat(one, one, one))
	b := Split(t, 2, 1000, slices.Concat(tree(11)[:1000], one))
	// under the hash, whatever the index
	if err := s.Put(t.Context(), a.Capsules[2], bytes.NewReader(one)); err != nil {
		t.Fatal(err)
	}
	s.commit(t, a)
	if err := s.Put(t.Context(), b.Capsules[0], bytes.NewReader(b.Content[0])); err != nil {
		t.Fatal(err)
	}
	s.commit(t, b)
	s.again(t)
	s.has(t, a, true)
	s.has(t, b, true)
}

// A generation that is committed again with a root statement has it.
func testStatement(t *testing.T, s *storeTest) {
	g := Split(t, 1, 1000, tree(12)[:1500])
	s.put(t, g)
	s.commit(t, g)
	s.has(t, g, true)
	key := auth.NewKey([auth.SeedSize]byte{1})
	st, err := capsule.SignRoot(t.Context(), g.Manifest, 7, key)
	if err != nil {
		t.Fatal(err)
	}
	signed := *g.Manifest
	signed.Parent = merkle.Hash{3}
	if err := signed.SetStatement(st); err != nil {
		t.Fatal(err)
	}
	g.Manifest = &signed
	s.commit(t, g)
	for range 2 {
		s.has(t, g, true)
		s.again(t)
	}
}

func testCancelled(t *testing.T, s *storeTest) {
	g := Split(t, 1, 1000, tree(13)[:1500])
	s.put(t, g)
	s.commit(t, g)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d := g.Capsules[0]
	other := Split(t, 2, 1000, tree(14)[:500])
	for name, err := range map[string]error{
		"put":  s.Put(ctx, other.Capsules[0], bytes.NewReader(other.Content[0])),
		"stat": second(s.Stat(ctx, g.Ref(0))),
		"open": second(s.Open(ctx, d)),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want context.Canceled", name, err)
		}
	}
	if _, err := s.Open(t.Context(), other.Capsules[0]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open: %v, want fs.ErrNotExist", err)
	}
}

func second[T any](_ T, err error) error { return err }

// Writers and readers at once; run it under the race detector.
func testConcurrent(t *testing.T, s *storeTest) {
	content := tree(15)
	shared := content[:10_000]
	var all []Generation
	for i := range 8 {
		all = append(all, Split(t, byte(i+1), 10_000, slices.Concat(shared,
			content[20_000*i:20_000*(i+1)])))
	}
	var wg sync.WaitGroup
	for _, g := range all {
		wg.Go(func() {
			for i, d := range g.Capsules {
				if err := s.Put(t.Context(), d, bytes.NewReader(g.Content[i])); err != nil {
					t.Errorf("put: %v", err)
				}
			}
			if err := s.Commit(t.Context(), g.Manifest); err != nil {
				t.Errorf("commit: %v", err)
			}
		})
		wg.Go(func() {
			for range 50 {
				d, err := s.Stat(t.Context(), g.Ref(0))
				if errors.Is(err, fs.ErrNotExist) {
					continue
				}
				if err != nil {
					t.Errorf("stat: %v", err)
					return
				}
				rc, err := s.Open(t.Context(), d)
				if err != nil {
					t.Errorf("open: %v", err)
					return
				}
				if _, err := io.Copy(io.Discard, capsule.VerifyReader(rc, d)); err != nil {
					t.Errorf("read: %v", err)
				}
				rc.Close()
			}
		})
	}
	wg.Wait()
	s.again(t)
	for _, g := range all {
		s.has(t, g, true)
	}
}
