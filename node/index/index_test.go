package index_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/index"
)

// described returns descriptors with contents that the numbers name.
func described(contents ...int) []capsule.Descriptor {
	var list []capsule.Descriptor
	for i, n := range contents {
		list = append(list, capsule.Descriptor{Index: uint32(i), Size: uint32(100 + n),
			Hash: merkle.Sum(fmt.Append(nil, "content", n)), ChunkRoot: merkle.Hash{byte(n), 1}})
	}
	return list
}

func holding(store, root byte, contents ...int) index.Holding {
	return index.Holding{Key: index.Key{Store: auth.StoreID{store}, Root: merkle.Hash{root}},
		Created: 7, Count: uint32(len(contents)), Capsules: described(contents...)}
}

func generationItem(h index.Holding, head bool) index.Item {
	return index.Item{Key: h.Key, Size: 10, Modified: time.Unix(1_700_000_000, 5), Head: head}
}

// naive is a simple reference implementation of the index.
type naive struct {
	items map[naiveItem]*naiveHeld
}

type naiveItem struct {
	source string
	key    index.Key
	name   string
}

type naiveHeld struct {
	head     bool
	holdings map[index.Key]map[uint32]capsule.Descriptor // described
	has      map[index.Key]map[uint32]bool
}

func (n *naive) set(source string, it index.Item, holdings ...index.Holding) {
	held := &naiveHeld{it.Head, map[index.Key]map[uint32]capsule.Descriptor{},
		map[index.Key]map[uint32]bool{}}
	for _, h := range holdings {
		all, has := map[uint32]capsule.Descriptor{}, map[uint32]bool{}
		for i, d := range h.Capsules {
			all[d.Index] = d
			has[d.Index] = !slices.Contains(h.Absent, i)
		}
		held.holdings[h.Key], held.has[h.Key] = all, has
	}
	n.items[naiveItem{source, it.Key, it.Name}] = held
}

// descriptors returns what some item that is there describes. An index may know more: what an item
// described that is gone, while the generation stays.
func (n *naive) descriptors(k index.Key) map[uint32]capsule.Descriptor {
	all := map[uint32]capsule.Descriptor{}
	for _, held := range n.items {
		maps.Copy(all, held.holdings[k])
	}
	return all
}

func (n *naive) keys() map[index.Key]bool {
	keys := map[index.Key]bool{}
	for _, held := range n.items {
		for k := range held.holdings {
			keys[k] = true
		}
	}
	return keys
}

func (n *naive) has(k index.Key, i uint32) bool {
	for _, held := range n.items {
		if held.has[k][i] {
			return true
		}
	}
	return false
}

func (n *naive) heads(s auth.StoreID) map[merkle.Hash]bool {
	heads := map[merkle.Hash]bool{}
	for it, held := range n.items {
		if held.head && it.key.Store == s && it.name == "" {
			heads[it.key.Root] = true
		}
	}
	return heads
}

// compare checks an index against the naive one.
func compare(t *testing.T, x *index.Index, n *naive) {
	t.Helper()
	keys := n.keys()
	stores := map[auth.StoreID]int{}
	var counts index.Counts
	contents := map[merkle.Hash]bool{}
	for k := range keys {
		stores[k.Store]++
		g, err := x.Generation(k.Store, k.Root)
		if err != nil {
			t.Fatal(err)
		}
		all := n.descriptors(k)
		if int(g.Described) < len(all) || g.Head != n.heads(k.Store)[k.Root] {
			t.Fatalf("generation %+v, expected %d described, heads %v", g, len(all), n.heads(k.Store))
		}
		counts.Described += uint64(g.Described)
		counts.Held += uint64(g.Held)
		counts.Bytes += g.Bytes
		held, size := uint32(0), uint64(0)
		for i, d := range all {
			ref := capsule.Ref{Store: k.Store, Root: k.Root, Index: i}
			if got, err := x.Stat(ref); err != nil || got != d {
				t.Fatalf("stat %v: %+v, %v, expected %+v", ref, got, err, d)
			}
			places, err := x.Where(ref)
			if err != nil || (len(places) > 0) != n.has(k, i) {
				t.Fatalf("where is %v: %v, %v, expected held %v", ref, places, err, n.has(k, i))
			}
			if n.has(k, i) {
				held++
				size += uint64(d.Size)
			}
			finds(t, x, n, d)
		}
		for d := range x.Capsules(k) {
			contents[d.Hash] = true
		}
		if g.Held != held || g.Bytes != size {
			t.Fatalf("generation %+v, expected %d held with %d bytes", g, held, size)
		}
	}
	counts.Stores, counts.Generations, counts.Contents = len(stores), len(keys), len(contents)
	if got := x.Counts(); got != counts {
		t.Fatalf("counts %+v, expected %+v", got, counts)
	}
	if got := x.Stores(); len(got) != len(stores) {
		t.Fatalf("stores %v, expected %d", got, len(stores))
	}
	for s, count := range stores {
		if got := x.Generations(s); len(got) != count {
			t.Fatalf("generations %v, expected %d", got, count)
		}
		head, err := x.Generation(s, merkle.Hash{})
		heads := n.heads(s)
		if len(heads) == 0 && !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("head %+v, %v, expected none", head, err)
		}
		if len(heads) > 0 && (err != nil || !heads[head.Root]) {
			t.Fatalf("head %+v, %v, expected one of %v", head, err, heads)
		}
	}
}

// finds checks that a content is found, and at a place that is as good as any.
func finds(t *testing.T, x *index.Index, n *naive, d capsule.Descriptor) {
	t.Helper()
	rank := func(k index.Key, i uint32) int {
		r := 1
		if n.heads(k.Store)[k.Root] {
			r++
		}
		if n.has(k, i) {
			r += 2
		}
		return r
	}
	best := 0
	for k := range n.keys() { // in one generation the first of equal capsules answers
		for other := range x.Capsules(k) {
			if other.Hash == d.Hash {
				best = max(best, rank(k, other.Index))
				break
			}
		}
	}
	ref, got, err := x.Find(d.Hash)
	if err != nil || got.Hash != d.Hash || got.Index != ref.Index {
		t.Fatalf("find: %v, %+v, %v", ref, got, err)
	}
	if r := rank(index.Key{Store: ref.Store, Root: ref.Root}, ref.Index); r != best {
		t.Fatalf("found %v of rank %d, expected %d", ref, r, best)
	}
}

// Random changes of generations, plots that hold parts of them, heads and losses give what a naive
// index has, also after a snapshot.
func TestRandom(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 3))
		x, n := index.New(), &naive{items: map[naiveItem]*naiveHeld{}}
		fixed := map[[2]byte][]int{} // the contents of a generation never change
		pick := func() index.Holding {
			id := [2]byte{byte(1 + r.IntN(3)), byte(1 + r.IntN(4))}
			if fixed[id] == nil {
				for range 1 + r.IntN(6) {
					fixed[id] = append(fixed[id], r.IntN(12))
				}
			}
			return holding(id[0], id[1], fixed[id]...)
		}
		part := func(h index.Holding) index.Holding {
			var some []capsule.Descriptor
			for _, d := range h.Capsules {
				if r.IntN(2) == 0 {
					some = append(some, d)
				}
			}
			if len(some) > 0 {
				h.Capsules = some
			}
			for i := range h.Capsules {
				if r.IntN(4) == 0 {
					h.Absent = append(h.Absent, i)
				}
			}
			return h
		}
		for step := range 150 {
			switch op := r.IntN(7); op {
			case 0, 1:
				h := pick()
				it := generationItem(h, r.IntN(3) == 0)
				if err := x.Set("storage", it, h); err != nil {
					t.Fatal(err)
				}
				n.set("storage", it, h)
			case 2, 3:
				var list []index.Holding
				for range r.IntN(4) {
					h := part(pick())
					if !slices.ContainsFunc(list, func(o index.Holding) bool { return o.Key == h.Key }) {
						list = append(list, h)
					}
				}
				it := index.Item{Name: fmt.Sprint("plot ", r.IntN(3))}
				if err := x.Set("plots", it, list...); err != nil {
					t.Fatal(err)
				}
				n.set("plots", it, list...)
			case 4:
				keys := slices.Collect(maps.Keys(n.items))
				if len(keys) == 0 {
					continue
				}
				slices.SortFunc(keys, func(a, b naiveItem) int {
					return slices.Compare([]byte(fmt.Sprint(a)), []byte(fmt.Sprint(b)))
				})
				k := keys[r.IntN(len(keys))]
				x.Drop(k.source, index.Item{Key: k.key, Name: k.name})
				delete(n.items, k)
			case 5:
				h := pick()
				head := r.IntN(2) == 0
				held := n.items[naiveItem{"storage", h.Key, ""}]
				if got := x.SetHead("storage", h.Key, head); got != (held != nil) {
					t.Fatalf("set head: %v", got)
				}
				if held != nil {
					held.head = head
				}
			case 6:
				hash, have := described(r.IntN(12))[0].Hash, r.IntN(2) == 0
				x.Mark("storage", hash, have)
				for it, held := range n.items {
					for k, all := range held.holdings {
						for i, d := range all {
							if it.source == "storage" && d.Hash == hash {
								held.has[k][i] = have
							}
						}
					}
				}
			}
			if step%10 == 9 {
				compare(t, x, n)
			}
		}
		disk := diskfs.NewCrash("/d")
		if err := x.Save(disk, "/d/index"); err != nil {
			t.Fatal(err)
		}
		loaded, err := index.Load(disk, "/d/index")
		if err != nil {
			t.Fatal(err)
		}
		compare(t, loaded, n)
		for it := range n.items {
			x.Drop(it.source, index.Item{Key: it.key, Name: it.name})
		}
		if got := x.Counts(); got != (index.Counts{}) {
			t.Fatalf("counts of an empty index: %+v", got)
		}
	}
}

// TestRefused: a holding that contradicts itself, or another item, is refused and changes nothing.
// A changed item is accepted.
func TestRefused(t *testing.T) {
	x := index.New()
	good := holding(1, 1, 1, 2, 3)
	if err := x.Set("storage", generationItem(good, true), good); err != nil {
		t.Fatal(err)
	}
	before := x.Counts()
	for name, c := range map[string]struct {
		edit func(h *index.Holding)
		want error
	}{
		"no capsules":      {func(h *index.Holding) { h.Capsules = nil }, index.ErrHolding},
		"zero root":        {func(h *index.Holding) { h.Root = merkle.Hash{} }, index.ErrHolding},
		"too many":         {func(h *index.Holding) { h.Count = 2 }, index.ErrHolding},
		"index past count": {func(h *index.Holding) { h.Capsules[2].Index = 3 }, index.ErrHolding},
		"indices descend":  {func(h *index.Holding) { h.Capsules[1].Index = 0 }, index.ErrHolding},
		"absent past end":  {func(h *index.Holding) { h.Absent = []int{3} }, index.ErrHolding},
		"absent descends":  {func(h *index.Holding) { h.Absent = []int{1, 1} }, index.ErrHolding},
		"another count":    {func(h *index.Holding) { h.Count = 4 }, index.ErrContradiction},
		"another hash":     {func(h *index.Holding) { h.Capsules[0].Hash[0]++ }, index.ErrContradiction},
		"another size":     {func(h *index.Holding) { h.Capsules[0].Size++ }, index.ErrContradiction},
		"another chunk root": {func(h *index.Holding) { h.Capsules[0].ChunkRoot[0]++ },
			index.ErrContradiction},
	} {
		bad := holding(1, 1, 1, 2, 3)
		c.edit(&bad)
		if err := x.Set("plots", index.Item{Name: "p"}, bad); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, expected %v", name, err, c.want)
		}
		if got := x.Counts(); got != before {
			t.Errorf("%s: counts %+v, expected %+v", name, got, before)
		}
	}
	other := holding(1, 2, 1)
	if err := x.Set("storage", generationItem(good, true), other); !errors.Is(err, index.ErrHolding) {
		t.Errorf("holding of another generation: %v", err)
	}
	if err := x.Set("plots", index.Item{Name: "p"}, good, good); !errors.Is(err, index.ErrHolding) {
		t.Errorf("two holdings of one generation: %v", err)
	}
	changed := holding(1, 1, 4, 5)
	if err := x.Set("storage", generationItem(changed, true), changed); err != nil {
		t.Errorf("an item that has changed: %v", err)
	}
	if d, err := x.Stat(capsule.Ref{Store: changed.Store}); err != nil || d != changed.Capsules[0] {
		t.Errorf("stat: %+v, %v", d, err)
	}
	if _, _, err := x.Find(good.Capsules[0].Hash); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("content of before: %v", err)
	}
	ref := capsule.Ref{Store: changed.Store, Root: changed.Root, Index: 2}
	if _, err := x.Stat(ref); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an index past the end: %v", err)
	}
}

// Equal capsules by the thousand, in one generation and in many, do not slow the index down.
func TestRepeated(t *testing.T) {
	x := index.New()
	same := make([]int, 20_000)
	start := time.Now()
	var items []index.Item
	for root := range 20 {
		h := holding(1, byte(1+root), same...)
		it := generationItem(h, false)
		if err := x.Set("storage", it, h); err != nil {
			t.Fatal(err)
		}
		items = append(items, it)
	}
	if c := x.Counts(); c.Contents != 1 || c.Held != 400_000 {
		t.Errorf("counts %+v", c)
	}
	x.Mark("storage", described(0)[0].Hash, false)
	if c := x.Counts(); c.Held != 0 || c.Bytes != 0 {
		t.Errorf("counts without the content: %+v", c)
	}
	for _, it := range items {
		x.Drop("storage", it)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

// The index is read and changed while its capsules are listed.
func TestCapsulesBesideChanges(t *testing.T) {
	x := index.New()
	k := index.Key{Store: auth.StoreID{1}, Root: merkle.Hash{2}}
	h := index.Holding{Key: k, Count: 1000}
	for i := range uint32(1000) {
		h.Capsules = append(h.Capsules, capsule.Descriptor{Index: i, Size: 1,
			Hash: merkle.Sum(binary.BigEndian.AppendUint32(nil, i)), ChunkRoot: merkle.Hash{3}})
	}
	it := index.Item{Name: "a", Head: true}
	if err := x.Set("storage", it, h); err != nil {
		t.Fatal(err)
	}
	done := make(chan bool)
	go func() {
		defer close(done)
		next := uint32(0)
		for d, held := range x.Capsules(k) {
			if d != h.Capsules[next] || !held {
				t.Errorf("capsule %+v, held %v, expected %+v", d, held, h.Capsules[next])
			}
			next++
			x.Mark("storage", d.Hash, false)
			ref := capsule.Ref{Store: k.Store, Root: k.Root, Index: d.Index}
			if _, err := x.Stat(ref); (err != nil) != (next > 600) {
				t.Errorf("stat after %d capsules: %v", next, err)
			}
			if next == 600 {
				x.Drop("storage", it)
			}
		}
		if next < 600 || next == 1000 {
			t.Errorf("%d capsules of a generation that was removed after 600 of 1000", next)
		}
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("a change waits for the list, and the list for the change")
	}
}
