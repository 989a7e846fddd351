package index_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/index"
	"github.com/dig-network/digstore/node/storage"
)

// add puts files into a storage as the capsules of a generation.
func add(
	t *testing.T, s storage.Storage, store byte, head bool, files ...[]byte,
) *capsule.Manifest {
	t.Helper()
	m := &capsule.Manifest{Store: auth.StoreID{store}}
	var leaves []merkle.Hash
	for i, b := range files {
		d, err := capsule.Describe(uint32(i), bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Put(t.Context(), d, bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
		m.Capsules = append(m.Capsules, d)
		leaves = append(leaves, d.Leaf())
	}
	m.Root = merkle.Root(leaves)
	if err := s.Commit(t.Context(), &storage.Generation{Manifest: m, Head: head}); err != nil {
		t.Fatal(err)
	}
	return m
}

// agrees checks that an index says of a storage what the storage says.
func agrees(t *testing.T, x *index.Index, s storage.Storage) {
	t.Helper()
	var want index.Counts
	for id, err := range s.Stores(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		want.Stores++
		held := map[merkle.Hash]bool{}
		for d, err := range s.Held(t.Context(), id) {
			if err != nil && !errors.Is(err, capsule.ErrManifest) {
				t.Fatal(err)
			}
			held[d.Hash] = true
		}
		for g, err := range s.Generations(t.Context(), id) {
			if err != nil {
				continue
			}
			want.Generations++
			got, err := x.Generation(id, g.Manifest.Root)
			if err != nil || got.Head != g.Head || got.Created != g.Manifest.Created {
				t.Fatalf("generation %+v, %v, expected head %v", got, err, g.Head)
			}
			for _, d := range g.Manifest.Capsules {
				ref := g.Manifest.Ref(d.Index)
				if got, err := x.Stat(ref); err != nil || got != d {
					t.Fatalf("stat %v: %+v, %v", ref, got, err)
				}
				places, err := x.Where(ref)
				if err != nil || (len(places) == 1) != held[d.Hash] {
					t.Fatalf("where is %v: %v, %v, expected held %v", ref, places, err, held[d.Hash])
				}
				want.Described++
				if held[d.Hash] {
					want.Held++
					want.Bytes += uint64(d.Size)
				}
			}
		}
	}
	got := x.Counts()
	got.Contents = 0
	if got != want {
		t.Fatalf("counts %+v, expected %+v", got, want)
	}
}

func update(t *testing.T, x *index.Index, s index.Source, kept, read, gone, damaged int) {
	t.Helper()
	r, err := x.Update(t.Context(), s)
	if err != nil || len(r.Failed) > 0 {
		t.Fatalf("update: %+v, %v", r, err)
	}
	if r.Kept != kept || r.Read != read || r.Gone != gone || len(r.Damaged) != damaged {
		t.Fatalf("update: %+v, expected %d kept, %d read, %d gone, %d damaged", r, kept, read, gone,
			damaged)
	}
}

// An index of a storage on a disk reads what has changed and nothing else, also after a start from
// a snapshot, and is rebuilt from nothing.
func TestUpdateStorage(t *testing.T) {
	dir := t.TempDir()
	s, err := storage.OpenDir(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var files [][]byte
	tree := corpus.Small(1)
	for _, name := range tree.Names() {
		files = append(files, tree[name])
	}
	x, src := index.New(), index.NewStorageSource("storage", s)
	update(t, x, src, 0, 0, 0, 0)
	a := add(t, s, 1, true, files...)
	b := add(t, s, 1, false, files[0], []byte("late"))
	c := add(t, s, 2, true, []byte("other"))
	if err := s.Release(t.Context(), []merkle.Hash{b.Capsules[1].Hash}); err != nil {
		t.Fatal(err)
	}
	update(t, x, src, 0, 3, 0, 0)
	agrees(t, x, s)
	update(t, x, src, 3, 0, 0, 0)

	disk := diskfs.NewCrash("/d")
	if err := x.Save(disk, "/d/index"); err != nil {
		t.Fatal(err)
	}
	if x, err = index.Load(disk, "/d/index"); err != nil {
		t.Fatal(err)
	}
	update(t, x, src, 3, 0, 0, 0)
	agrees(t, x, s)

	// What happens while the node is off.
	if err := s.Remove(t.Context(), c.Store, c.Root); err != nil {
		t.Fatal(err)
	}
	add(t, s, 3, true, []byte("new"))
	again := &storage.Generation{Manifest: a, Meta: []byte("changed"), Head: false}
	if err := s.Commit(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	update(t, x, src, 1, 2, 1, 0)
	agrees(t, x, s)

	// A new head is no reason to read anything.
	head := filepath.Join(dir, "stores", b.Store.String(), "head")
	if err := os.WriteFile(head, []byte(b.Root.String()+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	update(t, x, src, 3, 0, 0, 0)
	agrees(t, x, s)

	// Damage is dropped, and what is mended comes back.
	name := filepath.Join(dir, "stores", a.Store.String(), a.Root.String()+".json")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, text[:len(text)-2], 0o644); err != nil {
		t.Fatal(err)
	}
	update(t, x, src, 2, 0, 0, 1)
	agrees(t, x, s)
	fresh := index.New()
	update(t, fresh, src, 0, 2, 0, 1)
	agrees(t, fresh, s)
	if err := os.WriteFile(name, text, 0o644); err != nil {
		t.Fatal(err)
	}
	update(t, x, src, 2, 1, 0, 0)
	agrees(t, x, s)
}

// A storage that tells no versions is read at every update.
func TestUpdateMemory(t *testing.T) {
	s := storage.NewMemory(nil)
	x, src := index.New(), index.NewStorageSource("memory", s)
	a := add(t, s, 1, true, []byte("a"), []byte("b"))
	add(t, s, 2, true, []byte("c"))
	update(t, x, src, 0, 2, 0, 0)
	agrees(t, x, s)
	if err := s.Release(t.Context(), []merkle.Hash{a.Capsules[1].Hash}); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(t.Context(), auth.StoreID{2}, merkle.Hash{}); err != nil {
		t.Fatal(err)
	}
	update(t, x, src, 0, 1, 1, 0)
	agrees(t, x, s)
}

// plots is a source of plots in memory.
type plots struct {
	items map[string]time.Time
	held  map[string][]index.Holding
	err   error // of the listing
	reads int
}

func (p *plots) Name() string { return "plots" }

func (p *plots) Items(context.Context) iter.Seq2[index.Item, error] {
	return func(yield func(index.Item, error) bool) {
		for name, at := range p.items {
			if !yield(index.Item{Name: name, Size: 1, Modified: at}, nil) {
				return
			}
		}
		if p.err != nil {
			yield(index.Item{}, p.err)
		}
	}
}

func (p *plots) Read(_ context.Context, it index.Item) iter.Seq2[index.Holding, error] {
	p.reads++
	return func(yield func(index.Holding, error) bool) {
		if _, ok := p.held[it.Name]; !ok {
			yield(index.Holding{}, fmt.Errorf("%s: %w", it.Name, fs.ErrNotExist))
			return
		}
		for _, h := range p.held[it.Name] {
			if !yield(h, nil) {
				return
			}
		}
	}
}

// Named items come and go; while a source cannot be listed, what was known of it stays.
func TestUpdateNamed(t *testing.T) {
	x := index.New()
	at := time.Unix(1_700_000_000, 0)
	a, b := holding(1, 1, 1, 2, 3), holding(2, 1, 4)
	half := holding(1, 1, 1, 2, 3)
	half.Capsules = half.Capsules[1:]
	p := &plots{items: map[string]time.Time{"one": at, "two": at, "empty": at},
		held: map[string][]index.Holding{"one": {half, b}, "two": {a}, "empty": nil}}
	update(t, x, p, 0, 3, 0, 0)
	update(t, x, p, 3, 0, 0, 0)
	ref := capsule.Ref{Store: a.Store, Root: a.Root, Index: 1}
	places, err := x.Where(ref)
	slices.SortFunc(places, func(a, b index.Place) int { return len(a.Name) - len(b.Name) })
	if err != nil || len(places) != 2 || places[0].Source != "plots" {
		t.Errorf("places %v, %v, expected both plots", places, err)
	}
	p.err = errors.New("volume is gone")
	p.items = nil
	r, err := x.Update(t.Context(), p)
	if err != nil || len(r.Failed) != 1 || !errors.Is(r.Failed[0], p.err) {
		t.Errorf("update: %+v, %v", r, err)
	}
	if places, err := x.Where(ref); err != nil || len(places) != 2 {
		t.Errorf("places %v, %v, expected both plots", places, err)
	}
	p.err = nil
	p.items = map[string]time.Time{"one": at, "new": at} // new is gone before it is read
	update(t, x, p, 1, 0, 3, 0)
	if places, err := x.Where(ref); err != nil || len(places) != 1 || places[0].Name != "one" {
		t.Errorf("places %v, %v", places, err)
	}
	contradicting := holding(1, 1, 9, 9, 9)
	p.items["bad"], p.held["bad"] = at, []index.Holding{contradicting}
	update(t, x, p, 1, 0, 1, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := x.Update(ctx, p); !errors.Is(err, context.Canceled) {
		t.Errorf("update: %v, expected context.Canceled", err)
	}
}
