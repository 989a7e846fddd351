package nodetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/capsuletest"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/storage"
)

// Storage is one storage under test. It is empty at first.
type Storage struct {
	// Open opens an instance that sees what the last one has kept. The one before, when it is an
	// io.Closer, has been closed. A storage that keeps nothing beyond its life returns the same
	// value each time.
	Open func(t *testing.T) storage.Storage
	// OpenReader opens a second instance, which is only read, while another one is open; the
	// suite closes it. nil: Open does that too.
	OpenReader func(t *testing.T) storage.Storage
}

// TestStorage runs the suite. Each subtest asks for a storage of its own. After every change the
// suite looks at the storage through the instance that made it, through a second one that is open
// at the same time, and through a fresh one. Staged content may be gone when the storage is opened
// again.
func TestStorage(t *testing.T, empty func(t *testing.T) Storage) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, *harness)
	}{
		{"Absent", testAbsent},
		{"Contents", testContents},
		{"Ranges", testRanges},
		{"Staged", testStaged},
		{"WrongBytes", testWrongBytes},
		{"CommitRefused", testCommitRefused},
		{"Heads", testHeads},
		{"Meta", testMeta},
		{"PartialHoldings", testPartialHoldings},
		{"Discard", testDiscard},
		{"Remove", testRemove},
		{"Cancelled", testCancelled},
		{"Concurrent", testConcurrent},
		{"Random", testRandom},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &harness{t: t, under: empty(t), contents: map[merkle.Hash][]byte{},
				stores: map[auth.StoreID]*model{}}
			h.Storage = h.under.Open(t)
			t.Cleanup(func() { closeStorage(h.Storage) })
			c.run(t, h)
		})
	}
}

// harness is the storage under test with a model of what it must hold.
type harness struct {
	storage.Storage
	t        *testing.T
	under    Storage
	contents map[merkle.Hash][]byte // that are here
	stores   map[auth.StoreID]*model
}

// model is what one datastore must hold.
type model struct {
	head        merkle.Hash
	generations map[merkle.Hash]*storage.Generation
}

func closeStorage(s storage.Storage) {
	if c, ok := s.(io.Closer); ok {
		c.Close()
	}
}

func (h *harness) put(g capsuletest.Generation) {
	h.t.Helper()
	for i, d := range g.Capsules {
		if err := h.Put(h.t.Context(), d, bytes.NewReader(g.Content[i])); err != nil {
			h.t.Fatalf("put capsule %d of %d bytes: %v", i, d.Size, err)
		}
		h.contents[d.Hash] = g.Content[i]
	}
}

func (h *harness) commit(g capsuletest.Generation, meta string, head bool) {
	h.t.Helper()
	kept := &storage.Generation{Manifest: g.Manifest, Meta: []byte(meta), Head: head}
	if err := h.Commit(h.t.Context(), kept); err != nil {
		h.t.Fatalf("commit: %v", err)
	}
	m := h.stores[g.Store]
	if m == nil {
		m = &model{generations: map[merkle.Hash]*storage.Generation{}}
		h.stores[g.Store] = m
	}
	m.generations[g.Root] = kept
	if head {
		m.head = g.Root
	}
}

// add puts and commits.
func (h *harness) add(g capsuletest.Generation, meta string, head bool) {
	h.t.Helper()
	h.put(g)
	h.commit(g, meta, head)
}

func (h *harness) release(hashes ...merkle.Hash) {
	h.t.Helper()
	if err := h.Release(h.t.Context(), hashes); err != nil {
		h.t.Fatalf("release: %v", err)
	}
	for _, hash := range hashes {
		delete(h.contents, hash)
	}
}

func (h *harness) discard(hashes ...merkle.Hash) {
	h.t.Helper()
	if err := h.Discard(h.t.Context(), hashes); err != nil {
		h.t.Fatalf("discard: %v", err)
	}
	for _, hash := range hashes {
		if !h.named(hash) {
			delete(h.contents, hash)
		}
	}
}

// remove removes a generation or a datastore.
func (h *harness) remove(store auth.StoreID, root merkle.Hash) {
	h.t.Helper()
	if err := h.Remove(h.t.Context(), store, root); err != nil {
		h.t.Fatalf("remove: %v", err)
	}
	m := h.stores[store]
	var gone []*storage.Generation
	for r, g := range m.generations {
		if root.IsZero() || r == root {
			gone = append(gone, g)
			delete(m.generations, r)
		}
	}
	if root.IsZero() || m.head == root {
		m.head = merkle.Hash{}
	}
	if len(m.generations) == 0 {
		delete(h.stores, store)
	}
	for _, g := range gone {
		for _, d := range g.Manifest.Capsules {
			if !h.named(d.Hash) {
				delete(h.contents, d.Hash)
			}
		}
	}
}

// named reports whether a generation names a content.
func (h *harness) named(hash merkle.Hash) bool {
	for _, m := range h.stores {
		for _, g := range m.generations {
			for _, d := range g.Manifest.Capsules {
				if d.Hash == hash {
					return true
				}
			}
		}
	}
	return false
}

// check looks at everything through this instance, a second one and a fresh one.
func (h *harness) check() {
	h.t.Helper()
	h.matches(h.Storage, "the instance")
	open := h.under.OpenReader
	if open == nil {
		open = h.under.Open
	}
	second := open(h.t)
	h.matches(second, "a second instance")
	if second != h.Storage {
		closeStorage(second)
	}
	h.again()
	h.matches(h.Storage, "a fresh instance")
}

// again goes on with a fresh instance. Staged content may be gone.
func (h *harness) again() {
	h.t.Helper()
	closeStorage(h.Storage)
	h.Storage = h.under.Open(h.t)
	for hash := range h.contents {
		if !h.named(hash) {
			delete(h.contents, hash)
		}
	}
}

func sameGeneration(got, want *storage.Generation, head bool) error {
	a, aerr := got.Manifest.MarshalJSON()
	b, berr := want.Manifest.MarshalJSON()
	if err := errors.Join(aerr, berr); err != nil {
		return err
	}
	if !bytes.Equal(a, b) || !bytes.Equal(got.Meta, want.Meta) || got.Head != head {
		return fmt.Errorf("found %.200s meta %.40q head %v, expected %.200s meta %.40q head %v", a,
			got.Meta, got.Head, b, want.Meta, head)
	}
	return nil
}

// matches compares a storage with the model.
func (h *harness) matches(s storage.Storage, who string) {
	h.t.Helper()
	ctx := h.t.Context()
	var ids []auth.StoreID
	for id, err := range s.Stores(ctx) {
		if err != nil {
			h.t.Fatalf("%s: stores: %v", who, err)
		}
		ids = append(ids, id)
	}
	if want := slices.SortedFunc(maps.Keys(h.stores), auth.StoreID.Compare); !slices.Equal(ids, want) {
		h.t.Fatalf("%s: stores %v, expected %v", who, ids, want)
	}
	count := 0
	for id, m := range h.stores {
		count += len(m.generations)
		h.matchesStore(s, who, id, m)
	}
	for hash, b := range h.contents {
		d := capsule.Descriptor{Size: uint32(len(b)), Hash: hash}
		if got, err := readAll(ctx, s, d, 0, -1); err != nil || !bytes.Equal(got, b) {
			h.t.Fatalf("%s: content of %d bytes: found %d, %v", who, len(b), len(got), err)
		}
	}
	u, err := s.Usage(ctx)
	if err != nil {
		h.t.Fatalf("%s: usage: %v", who, err)
	}
	if u.Stores != len(h.stores) || u.Generations != count || u.Capsules-u.Staged != h.committed() {
		h.t.Fatalf("%s: usage %+v, expected %d stores, %d generations, %d capsules", who, u,
			len(h.stores), count, h.committed())
	}
}

// committed returns how many contents are here that a generation names.
func (h *harness) committed() int {
	n := 0
	for hash := range h.contents {
		if h.named(hash) {
			n++
		}
	}
	return n
}

func (h *harness) matchesStore(s storage.Storage, who string, id auth.StoreID, m *model) {
	h.t.Helper()
	ctx := h.t.Context()
	var roots []merkle.Hash
	held := map[merkle.Hash]bool{}
	for g, err := range s.Generations(ctx, id) {
		if err != nil {
			h.t.Fatalf("%s: generations: %v", who, err)
		}
		roots = append(roots, g.Manifest.Root)
		want := m.generations[g.Manifest.Root]
		if want == nil {
			h.t.Fatalf("%s: generation %v was not committed", who, g.Manifest.Root)
		}
		if err := sameGeneration(g, want, m.head == g.Manifest.Root); err != nil {
			h.t.Fatalf("%s: generation: %v", who, err)
		}
		got, err := s.Generation(ctx, id, g.Manifest.Root)
		if err != nil {
			h.t.Fatalf("%s: generation by root: %v", who, err)
		}
		if err := sameGeneration(got, want, m.head == g.Manifest.Root); err != nil {
			h.t.Fatalf("%s: generation by root: %v", who, err)
		}
		for _, d := range want.Manifest.Capsules {
			h.stats(s, who, g.Manifest.Ref(d.Index), d)
			if h.contents[d.Hash] != nil {
				held[d.Hash] = true
			}
		}
	}
	if want := slices.SortedFunc(maps.Keys(m.generations), merkle.Hash.Compare); !slices.Equal(roots,
		want) {
		h.t.Fatalf("%s: generations %v, expected %v", who, roots, want)
	}
	head, err := s.Generation(ctx, id, merkle.Hash{})
	switch {
	case m.head.IsZero() && !errors.Is(err, fs.ErrNotExist):
		h.t.Fatalf("%s: head of a store that has none: %v", who, err)
	case !m.head.IsZero() && (err != nil || head.Manifest.Root != m.head):
		h.t.Fatalf("%s: head: %v, expected %v", who, err, m.head)
	case !m.head.IsZero():
		h.stats(s, who, capsule.Ref{Store: id}, m.generations[m.head].Manifest.Capsules[0])
	}
	for d, err := range s.Held(ctx, id) {
		if err != nil {
			h.t.Fatalf("%s: held: %v", who, err)
		}
		if !held[d.Hash] {
			h.t.Fatalf("%s: held %v twice, or it is not here", who, d.Hash)
		}
		delete(held, d.Hash)
	}
	if len(held) > 0 {
		h.t.Fatalf("%s: %d contents are not held", who, len(held))
	}
}

func (h *harness) stats(s storage.Storage, who string, ref capsule.Ref, want capsule.Descriptor) {
	h.t.Helper()
	if got, err := s.Stat(h.t.Context(), ref); err != nil || got != want {
		h.t.Fatalf("%s: stat %v: %+v, %v, expected %+v", who, ref, got, err, want)
	}
}

func readAll(
	ctx context.Context, s storage.Storage, d capsule.Descriptor, off, n int64,
) ([]byte, error) {
	rc, err := s.Open(ctx, d, off, n)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(rc)
	return b, errors.Join(err, rc.Close())
}

// lacks checks that content is not here.
func (h *harness) lacks(d capsule.Descriptor) {
	h.t.Helper()
	if rc, err := h.Open(h.t.Context(), d, 0, -1); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			rc.Close()
		}
		h.t.Errorf("open of what is not here: %v, expected fs.ErrNotExist", err)
	}
}

func testAbsent(t *testing.T, h *harness) {
	g := capsuletest.Of(t, 1, []byte("a"))
	h.check()
	h.lacks(g.Capsules[0])
	_, stat := h.Stat(t.Context(), g.Ref(0))
	_, head := h.Stat(t.Context(), capsule.Ref{Store: g.Store})
	_, root := h.Generation(t.Context(), g.Store, g.Root)
	for what, err := range map[string]error{
		"stat": stat, "stat of the head": head, "generation": root,
		"remove a store":      h.Storage.Remove(t.Context(), g.Store, merkle.Hash{}),
		"remove a generation": h.Storage.Remove(t.Context(), g.Store, g.Root),
	} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, expected fs.ErrNotExist", what, err)
		}
	}
	for _, err := range h.Generations(t.Context(), g.Store) {
		t.Errorf("generations of a store that is not there: %v", err)
	}
	for _, err := range h.Held(t.Context(), g.Store) {
		t.Errorf("held of a store that is not there: %v", err)
	}
	h.discard(g.Capsules[0].Hash)
	h.release(g.Capsules[0].Hash)
	h.add(g, "", true)
	h.check()
	past := g.Ref(1)
	if _, err := h.Stat(t.Context(), past); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stat of an index past the end: %v, expected fs.ErrNotExist", err)
	}
}

// Contents of the sizes of real files and at the limits of chunks and blocks, equal ones included.
func testContents(t *testing.T, h *harness) {
	files := corpus.Small(1)
	var contents [][]byte
	for _, name := range files.Names() {
		contents = append(contents, files[name])
	}
	h.add(capsuletest.Of(t, 1, contents...), "files", true)
	b := corpus.Small(2).Concat()
	for i, n := range []int{0, 1, 4095, 4096, 4097, capsule.BlockSize, capsule.BlockSize + 1} {
		h.add(capsuletest.Split(t, byte(2+i), 0, b[:n]), "", i%2 == 0)
	}
	h.add(capsuletest.Split(t, 20, 300_000, b), "", true)
	h.check()
}

func testRanges(t *testing.T, h *harness) {
	b := corpus.Small(3).Concat()[:300_000]
	g := capsuletest.Split(t, 1, 0, b)
	h.add(g, "", true)
	h.again()
	size := int64(len(b))
	for _, c := range []struct{ off, n, from, to int64 }{
		{0, -1, 0, size}, {0, size, 0, size}, {0, 0, 0, 0}, {1, 1, 1, 2}, {size - 1, -1, size - 1, size},
		{size, -1, size, size}, {size, 5, size, size}, {131_071, 2, 131_071, 131_073},
		{10, size, 10, size}, {4096, 1 << 62, 4096, size},
	} {
		got, err := readAll(t.Context(), h, g.Capsules[0], c.off, c.n)
		if err != nil || !bytes.Equal(got, b[c.from:c.to]) {
			t.Errorf("%d bytes from %d: found %d, %v", c.n, c.off, len(got), err)
		}
	}
	for _, off := range []int64{-1, size + 1, 1 << 62} {
		if _, err := readAll(t.Context(), h, g.Capsules[0], off, 1); !errors.Is(err,
			storage.ErrRange) {
			t.Errorf("from %d: %v, expected ErrRange", off, err)
		}
	}
	other := g.Capsules[0]
	other.Size--
	if _, err := readAll(t.Context(), h, other, 0, -1); !errors.Is(err, capsule.ErrContentMismatch) {
		t.Errorf("open with another size: %v, expected ErrContentMismatch", err)
	}
}

// What was put is opened at once, and is in no datastore before the commit.
func testStaged(t *testing.T, h *harness) {
	g := capsuletest.Split(t, 1, 1000, corpus.Small(4).Concat()[:2500])
	h.put(g)
	h.matches(h.Storage, "the instance")
	if u, err := h.Usage(t.Context()); err != nil || u.Staged != 3 || u.Bytes != 2500 {
		t.Errorf("usage %+v, %v, expected 3 staged with 2500 bytes", u, err)
	}
	h.put(g) // again
	h.commit(g, "", true)
	h.check()
}

// Content that does not match is refused, and leaves what was there.
func testWrongBytes(t *testing.T, h *harness) {
	b := corpus.Small(5).Concat()[:200_000]
	g := capsuletest.Split(t, 1, 0, b)
	d := g.Capsules[0]
	flipped := bytes.Clone(b)
	flipped[len(b)-1] ^= 1
	broken := errors.New("broken")
	cases := []struct {
		name string
		d    capsule.Descriptor
		r    func() io.Reader
		want error
	}{
		{"flipped bit", d, reader(flipped), capsule.ErrContentMismatch},
		{"short", d, reader(b[:len(b)-1]), capsule.ErrContentMismatch},
		{"empty", d, reader(nil), capsule.ErrContentMismatch},
		{"long", d, reader(append(bytes.Clone(b), 0)), capsule.ErrContentMismatch},
		{"chunk root", capsule.Descriptor{Size: d.Size, Hash: d.Hash, ChunkRoot: merkle.Hash{1}},
			reader(b), capsule.ErrContentMismatch},
		{"size", capsule.Descriptor{Size: d.Size - 1, Hash: d.Hash}, reader(b),
			capsule.ErrContentMismatch},
		{"reader fails", d, func() io.Reader {
			return io.MultiReader(bytes.NewReader(b[:50_000]), iotest.ErrReader(broken))
		}, broken},
	}
	for _, there := range []bool{false, true} {
		for _, c := range cases {
			if err := h.Put(t.Context(), c.d, c.r()); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, expected %v", c.name, err, c.want)
			}
			if !there {
				h.lacks(d)
			}
		}
		if u, err := h.Usage(t.Context()); err != nil || u.Capsules != len(h.contents) {
			t.Errorf("usage %+v, %v, expected %d capsules", u, err, len(h.contents))
		}
		if !there {
			r := iotest.DataErrReader(iotest.HalfReader(bytes.NewReader(b)))
			if err := h.Put(t.Context(), d, r); err != nil {
				t.Fatal(err)
			}
			h.contents[d.Hash] = b
			h.commit(g, "", true)
		}
	}
	h.check()
}

func reader(b []byte) func() io.Reader {
	return func() io.Reader { return bytes.NewReader(b) }
}

// A generation appears whole or not at all.
func testCommitRefused(t *testing.T, h *harness) {
	g := capsuletest.Split(t, 1, 1000, corpus.Small(6).Concat()[:3500])
	for i, d := range g.Capsules {
		if i == 2 {
			continue
		}
		if err := h.Put(t.Context(), d, bytes.NewReader(g.Content[i])); err != nil {
			t.Fatal(err)
		}
	}
	bad := *g.Manifest
	bad.Root[0]++
	sized := &capsule.Manifest{Store: g.Store, Capsules: []capsule.Descriptor{g.Capsules[0]}}
	sized.Capsules[0].Size++
	sized.Root = sized.Capsules[0].Leaf()
	noRoot := &capsule.Manifest{Store: g.Store,
		Capsules: []capsule.Descriptor{{Size: 1000, Hash: g.Capsules[0].Hash}}}
	for _, c := range []struct {
		name string
		g    storage.Generation
		want error // nil: any
	}{
		{"a capsule is missing", storage.Generation{Manifest: g.Manifest, Head: true}, fs.ErrNotExist},
		{"root does not fold", storage.Generation{Manifest: &bad}, capsule.ErrManifest},
		{"no manifest", storage.Generation{}, capsule.ErrManifest},
		{"no capsules", storage.Generation{Manifest: &capsule.Manifest{Store: g.Store,
			Root: g.Root}}, capsule.ErrManifest},
		{"zero root", storage.Generation{Manifest: noRoot}, capsule.ErrManifest},
		{"another size", storage.Generation{Manifest: sized}, capsule.ErrContentMismatch},
		{"meta is too long", storage.Generation{Manifest: g.Manifest,
			Meta: make([]byte, storage.MaxMeta+1)}, nil},
	} {
		err := h.Commit(t.Context(), &c.g)
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, expected %v", c.name, err, c.want)
		}
	}
	h.check()
	h.add(g, "", true)
	h.check()
}

// Older generations come late, heads go forward and back, and a removed head leaves none.
func testHeads(t *testing.T, h *harness) {
	a, b, c := capsuletest.Of(t, 1, []byte("a"), []byte("x")), capsuletest.Of(t, 1, []byte("b")), capsuletest.Of(t, 1, []byte("c"))
	other := capsuletest.Of(t, 2, []byte("a"))
	h.add(a, "late", false)
	h.check() // a store without a head
	h.add(b, "", true)
	h.check()
	h.add(c, "late", false)
	h.add(other, "", true)
	h.check()
	h.commit(c, "", true)
	h.check()
	h.commit(b, "again", false) // the head stays
	h.check()
	h.commit(a, "", true)
	h.check()
	h.remove(a.Store, a.Root)
	h.check()
	h.commit(b, "", true)
	h.check()
	h.commit(b, "late", false) // the head that is committed again as a late one stays the head
	h.check()
}

// Meta is kept as it is, and appears with its manifest.
func testMeta(t *testing.T, h *harness) {
	g := capsuletest.Of(t, 1, []byte("a"))
	key := auth.NewKey([auth.SeedSize]byte{1})
	statement, err := capsule.SignRoot(t.Context(), g.Manifest, 7, key)
	if err != nil {
		t.Fatal(err)
	}
	meta, err := storage.Meta{Generation: 7, Signature: statement.Signature,
		Writer: statement.Writer, Handle: "mydata"}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	h.add(g, string(meta), true)
	h.check()
	signed := *g.Manifest
	signed.Parent = merkle.Hash{3}
	if err := signed.SetStatement(statement); err != nil {
		t.Fatal(err)
	}
	g.Manifest = &signed
	for _, meta := range []string{"", "\x00\xff\"{}", string(make([]byte, storage.MaxMeta))} {
		h.commit(g, meta, true)
		h.check()
	}
	// What the caller does with its values afterwards changes nothing.
	own := []byte("own")
	mine := *g.Manifest
	mine.Capsules = slices.Clone(g.Capsules)
	kept := &storage.Generation{Manifest: &mine, Meta: own, Head: true}
	if err := h.Commit(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	h.stores[g.Store].generations[g.Root] = &storage.Generation{Manifest: g.Manifest,
		Meta: []byte("own")}
	own[0], mine.Capsules[0].Size, kept.Head = 'X', 99, false
	h.check()
}

// A generation whose content was released is described as before; what is put again is back.
func testPartialHoldings(t *testing.T, h *harness) {
	g := capsuletest.Split(t, 1, 1000, corpus.Small(7).Concat()[:3500])
	shared := capsuletest.Of(t, 2, g.Content[1], []byte("own"))
	h.add(g, "", true)
	h.add(shared, "", true)
	h.release(g.Capsules[1].Hash, g.Capsules[3].Hash, merkle.Hash{9})
	h.lacks(g.Capsules[1])
	h.check()
	h.lacks(g.Capsules[3])
	again := g.Capsules[1]
	if err := h.Put(t.Context(), again, bytes.NewReader(g.Content[1])); err != nil {
		t.Fatal(err)
	}
	h.contents[again.Hash] = g.Content[1]
	h.discard(again.Hash) // it is named, so it stays
	h.check()
	h.remove(g.Store, g.Root)
	h.check()
}

func testDiscard(t *testing.T, h *harness) {
	g, staged := capsuletest.Split(t, 1, 1000, corpus.Small(8).Concat()[:2500]), capsuletest.Of(t, 1, []byte("a"), []byte("b"))
	h.add(g, "", true)
	h.put(staged)
	h.discard(g.Capsules[0].Hash, staged.Capsules[0].Hash, merkle.Hash{1})
	h.lacks(staged.Capsules[0])
	h.check()
	if err := h.Commit(t.Context(), &storage.Generation{Manifest: staged.Manifest}); !errors.Is(err,
		fs.ErrNotExist) {
		t.Errorf("commit of what was discarded: %v, expected fs.ErrNotExist", err)
	}
	h.put(staged)
	h.discard(staged.Capsules[1].Hash)
	h.put(staged)
	h.commit(staged, "", false)
	h.discard(staged.Capsules[0].Hash, staged.Capsules[1].Hash)
	h.check()
	if l, ok := h.Storage.(storage.OrphanLister); ok {
		left := capsuletest.Of(t, 3, []byte("left"))
		h.put(left)
		n := 0
		for o, err := range l.Orphans(t.Context()) {
			if err != nil || o.Hash != left.Capsules[0].Hash || o.Size != 4 || o.Modified.IsZero() {
				t.Errorf("orphan %+v, %v", o, err)
			}
			n++
		}
		if n != 1 {
			t.Errorf("%d orphans, expected 1", n)
		}
		h.discard(left.Capsules[0].Hash)
		h.check()
	}
}

// Content goes with the last generation that names it. What is staged stays.
func testRemove(t *testing.T, h *harness) {
	one := []byte("one")
	a, b := capsuletest.Of(t, 1, one, one, []byte("two")), capsuletest.Of(t, 1, []byte("two"), []byte("three"))
	c := capsuletest.Of(t, 2, []byte("three"), []byte("four"))
	for _, g := range []capsuletest.Generation{a, b, c} {
		h.add(g, "", true)
	}
	h.remove(a.Store, a.Root)
	h.lacks(a.Capsules[0])
	h.check()
	staged := capsuletest.Of(t, 3, []byte("two"))
	h.put(staged)
	if err := h.Remove(t.Context(), b.Store, b.Root); err != nil {
		t.Fatal(err)
	}
	delete(h.stores, b.Store)
	h.commit(staged, "", true)
	h.check()
	for _, g := range []capsuletest.Generation{a, b} {
		h.add(g, "", g.Root == a.Root)
	}
	h.remove(a.Store, merkle.Hash{})
	h.check()
	h.remove(c.Store, merkle.Hash{})
	h.remove(staged.Store, staged.Root)
	h.check()
	if u, err := h.Usage(t.Context()); err != nil || u.Bytes != 0 || u.Capsules != 0 {
		t.Errorf("usage of an empty storage: %+v, %v", u, err)
	}
}

func testCancelled(t *testing.T, h *harness) {
	g := capsuletest.Split(t, 1, 1000, corpus.Small(9).Concat()[:1500])
	h.add(g, "", true)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	other := capsuletest.Of(t, 2, []byte("other"))
	again := &storage.Generation{Manifest: g.Manifest, Meta: []byte("new")}
	for name, err := range map[string]error{
		"put":        h.Put(ctx, other.Capsules[0], bytes.NewReader(other.Content[0])),
		"stat":       second(h.Stat(ctx, g.Ref(0))),
		"open":       second(h.Open(ctx, g.Capsules[0], 0, -1)),
		"commit":     h.Commit(ctx, again),
		"generation": second(h.Generation(ctx, g.Store, g.Root)),
		"discard":    h.Discard(ctx, []merkle.Hash{g.Capsules[0].Hash}),
		"release":    h.Release(ctx, []merkle.Hash{g.Capsules[0].Hash}),
		"remove":     h.Remove(ctx, g.Store, g.Root),
		"usage":      second(h.Usage(ctx)),
		"stores":     firstError(h.Stores(ctx)),
		"held":       firstError(h.Held(ctx, g.Store)),
		"all":        firstError(h.Generations(ctx, g.Store)),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, expected context.Canceled", name, err)
		}
	}
	h.lacks(other.Capsules[0])
	h.check()
}

func second[T any](_ T, err error) error { return err }

func firstError[T any](seq func(func(T, error) bool)) (err error) {
	seq(func(_ T, e error) bool {
		err = e
		return e == nil
	})
	return err
}

// Writers, readers and removals at once; run it under the race detector.
func testConcurrent(t *testing.T, h *harness) {
	b := corpus.Small(10).Concat()
	shared := b[:10_000]
	var all []capsuletest.Generation
	for i := range 6 {
		all = append(all, capsuletest.Of(t, byte(i+1), shared, b[20_000*i:20_000*(i+1)]))
	}
	var wg sync.WaitGroup
	for i, g := range all {
		wg.Go(func() {
			for try := range 100 {
				for i, d := range g.Capsules {
					if err := h.Put(t.Context(), d, bytes.NewReader(g.Content[i])); err != nil {
						t.Errorf("put: %v", err)
					}
				}
				err := h.Commit(t.Context(), &storage.Generation{Manifest: g.Manifest, Head: true})
				if errors.Is(err, fs.ErrNotExist) && try < 99 {
					continue // a removal took what is shared
				}
				if err != nil {
					t.Errorf("commit: %v", err)
				}
				break
			}
			if i%2 == 1 {
				if err := h.Remove(t.Context(), g.Store, merkle.Hash{}); err != nil {
					t.Errorf("remove: %v", err)
				}
			}
		})
		wg.Go(func() {
			for range 30 {
				d, err := h.Stat(t.Context(), g.Ref(1))
				if errors.Is(err, fs.ErrNotExist) {
					continue
				}
				if err != nil {
					t.Errorf("stat: %v", err)
					return
				}
				rc, err := h.Open(t.Context(), d, 0, -1)
				if errors.Is(err, fs.ErrNotExist) {
					continue // removed meanwhile
				}
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
	for i, g := range all {
		if i%2 == 1 {
			continue
		}
		h.stores[g.Store] = &model{head: g.Root, generations: map[merkle.Hash]*storage.Generation{
			g.Root: {Manifest: g.Manifest}}}
		h.contents[g.Capsules[0].Hash], h.contents[g.Capsules[1].Hash] = g.Content[0], g.Content[1]
	}
	h.check()
}

// Random changes give what the model says.
func testRandom(t *testing.T, h *harness) {
	r := rand.New(rand.NewPCG(1, 2))
	pool := make([][]byte, 8)
	for i := range pool {
		pool[i] = fmt.Appendf(nil, "content %d", i)
	}
	pick := func() capsuletest.Generation {
		var contents [][]byte
		for range 1 + r.IntN(3) {
			contents = append(contents, pool[r.IntN(len(pool))])
		}
		return capsuletest.Of(t, byte(1+r.IntN(2)), contents...)
	}
	for n := range 60 {
		g := pick()
		switch r.IntN(6) {
		case 0, 1:
			h.add(g, fmt.Sprint("meta ", n), r.IntN(2) == 0)
		case 2:
			h.release(g.Capsules[0].Hash)
		case 3:
			h.put(g)
			h.discard(g.Capsules[0].Hash)
		case 4:
			for store, m := range h.stores { // of at most two
				roots := slices.SortedFunc(maps.Keys(m.generations), merkle.Hash.Compare)
				for _, d := range g.Capsules {
					h.discard(d.Hash) // removal leaves what is staged, and the model has none
				}
				h.again()
				h.remove(store, roots[r.IntN(len(roots))])
				break
			}
		case 5:
			if h.stores[g.Store] != nil && r.IntN(3) == 0 {
				h.again()
				h.remove(g.Store, merkle.Hash{})
			}
		}
		if n%6 == 5 {
			h.check()
		}
	}
	h.check()
}
