package index

import (
	"hash/maphash"
	"iter"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// A table is a hash table of values other than 0, with open addressing. It does not store keys: the
// caller passes functions for the hash of a value and for equality.
type table struct {
	slots []uint64 // 0: free; the number of slots is a power of two
	n     int
}

// grow makes room for n values.
func (t *table) grow(n int, hash func(uint64) uint64) {
	size := max(16, len(t.slots))
	for 4*n > 3*size {
		size *= 2
	}
	if size == len(t.slots) {
		return
	}
	old := t.slots
	t.slots = make([]uint64, size)
	for _, v := range old {
		if v == 0 {
			continue
		}
		at := hash(v)
		for ; t.slots[at&uint64(size-1)] != 0; at++ {
		}
		t.slots[at&uint64(size-1)] = v
	}
}

// find returns the slot of the value with hash h that is meant, or the free slot where it would
// be.
func (t *table) find(h uint64, meant func(uint64) bool) (slot int, ok bool) {
	if len(t.slots) == 0 {
		return 0, false
	}
	mask := uint64(len(t.slots) - 1)
	for at := h; ; at++ {
		switch v := t.slots[at&mask]; {
		case v == 0:
			return int(at & mask), false
		case meant(v):
			return int(at & mask), true
		}
	}
}

// remove frees a slot, and moves later values so that they are found.
func (t *table) remove(slot int, hash func(uint64) uint64) {
	mask := len(t.slots) - 1
	t.n--
	for at := (slot + 1) & mask; t.slots[at] != 0; at = (at + 1) & mask {
		home := int(hash(t.slots[at]) & uint64(mask))
		if (at-home)&mask >= (at-slot)&mask {
			t.slots[slot] = t.slots[at]
			slot = at
		}
	}
	t.slots[slot] = 0
}

func (t *table) values() iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for _, v := range t.slots {
			if v != 0 && !yield(v) {
				return
			}
		}
	}
}

func (x *Index) hashKey(k Key) uint64            { return maphash.Comparable(x.seed, k) }
func (x *Index) hashStore(s auth.StoreID) uint64 { return maphash.Bytes(x.seed, s[:]) }
func (x *Index) hashContent(h merkle.Hash) uint64 {
	return maphash.Bytes(x.seed, h[:])
}

// place is a value of byHash.
func place(id uint32, at int) uint64 { return uint64(id)<<32 | uint64(uint32(at)) }

func (x *Index) record(v uint64) *record { return &x.gens[v>>32].caps[uint32(v)] }

func (x *Index) rehashContent(v uint64) uint64 { return x.hashContent(x.record(v).hash) }

func (x *Index) findContent(h merkle.Hash) (int, bool) {
	return x.byHash.find(x.hashContent(h), func(v uint64) bool { return x.record(v).hash == h })
}

// find returns a generation; nil: there is none.
func (x *Index) find(k Key) *gen {
	slot, ok := x.byKey.find(x.hashKey(k), func(v uint64) bool { return x.gens[v].key == k })
	if !ok {
		return nil
	}
	return x.gens[x.byKey.slots[slot]]
}

func (x *Index) findStore(s auth.StoreID) (int, bool) {
	return x.byStore.find(x.hashStore(s), func(v uint64) bool { return x.gens[v].key.Store == s })
}

// of yields the generations of a datastore.
func (x *Index) of(s auth.StoreID) iter.Seq[*gen] {
	return func(yield func(*gen) bool) {
		slot, ok := x.findStore(s)
		if !ok {
			return
		}
		for id := uint32(x.byStore.slots[slot]); id != 0; id = x.gens[id].next {
			if !yield(x.gens[id]) {
				return
			}
		}
	}
}

// places yields the places of a content: the first in each generation that has it.
func (x *Index) places(h merkle.Hash) iter.Seq2[*gen, int] {
	return func(yield func(*gen, int) bool) {
		slot, ok := x.findContent(h)
		if !ok {
			return
		}
		for v := x.byHash.slots[slot]; v>>32 != 0; {
			r := x.record(v)
			next := place(r.nextGen, int(r.nextAt))
			if !yield(x.gens[v>>32], int(uint32(v))) {
				return
			}
			v = next
		}
	}
}

// add puts a new generation into the tables.
func (x *Index) add(g *gen) {
	if n := len(x.free); n > 0 {
		g.id = x.free[n-1]
		x.free = x.free[:n-1]
		x.gens[g.id] = g
	} else {
		g.id = uint32(len(x.gens))
		x.gens = append(x.gens, g)
	}
	x.byKey.grow(x.byKey.n+1, func(v uint64) uint64 { return x.hashKey(x.gens[v].key) })
	slot, _ := x.byKey.find(x.hashKey(g.key), func(uint64) bool { return false })
	x.byKey.slots[slot] = uint64(g.id)
	x.byKey.n++

	x.byStore.grow(x.byStore.n+1, x.rehashStore)
	slot, ok := x.findStore(g.key.Store)
	if ok { // behind the first, which may be the head
		first := x.gens[x.byStore.slots[slot]]
		g.next, first.next = first.next, g.id
	} else {
		x.byStore.slots[slot] = uint64(g.id)
		x.byStore.n++
	}
	x.counts.Stores, x.counts.Generations = x.byStore.n, x.byKey.n
	x.link(g)
}

func (x *Index) rehashStore(v uint64) uint64 { return x.hashStore(x.gens[v].key.Store) }

// remove removes a generation from the tables.
func (x *Index) remove(g *gen) {
	x.unlink(g)
	x.counts.Held -= uint64(g.held)
	x.counts.Bytes -= g.bytes
	slot, _ := x.byKey.find(x.hashKey(g.key), func(v uint64) bool { return v == uint64(g.id) })
	x.byKey.remove(slot, func(v uint64) uint64 { return x.hashKey(x.gens[v].key) })

	x.detach(g)
	if g.isHead() {
		x.leadAny(g.key.Store)
	}
	x.gens[g.id] = nil
	x.free = append(x.free, g.id)
	x.counts.Stores, x.counts.Generations = x.byStore.n, x.byKey.n
}

// detach removes a generation from the list of its datastore.
func (x *Index) detach(g *gen) {
	slot, _ := x.findStore(g.key.Store)
	switch first := uint32(x.byStore.slots[slot]); {
	case first != g.id:
		before := x.gens[first]
		for before.next != g.id {
			before = x.gens[before.next]
		}
		before.next = g.next
	case g.next != 0:
		x.byStore.slots[slot] = uint64(g.next)
	default:
		x.byStore.remove(slot, x.rehashStore)
	}
}

// lead puts a generation in front of the list of its datastore.
func (x *Index) lead(g *gen) {
	slot, _ := x.findStore(g.key.Store)
	first := uint32(x.byStore.slots[slot])
	if first == g.id {
		return
	}
	x.detach(g)
	g.next = first
	x.byStore.slots[slot] = uint64(g.id)
}

// link puts the records of a generation in front of the chains of their contents.
func (x *Index) link(g *gen) {
	x.byHash.grow(x.byHash.n+len(g.caps), x.rehashContent)
	for at := range g.caps {
		r := &g.caps[at]
		slot, ok := x.findContent(r.hash)
		switch {
		case !ok:
			r.nextGen, r.nextAt = 0, 0
			x.byHash.n++
		case x.byHash.slots[slot]>>32 == uint64(g.id):
			r.nextGen, g.repeats = unlinked, true
			continue
		default:
			r.nextGen = uint32(x.byHash.slots[slot] >> 32)
			r.nextAt = uint32(x.byHash.slots[slot])
		}
		x.byHash.slots[slot] = place(g.id, at)
	}
	x.counts.Contents = x.byHash.n
	x.counts.Described += uint64(len(g.caps))
}

// unlink removes the records of a generation from their chains.
func (x *Index) unlink(g *gen) {
	for at := range g.caps {
		r := &g.caps[at]
		if r.nextGen == unlinked {
			continue
		}
		slot, _ := x.findContent(r.hash)
		here, next := place(g.id, at), place(r.nextGen, int(r.nextAt))
		switch first := x.byHash.slots[slot]; {
		case first != here:
			before := x.record(first)
			for place(before.nextGen, int(before.nextAt)) != here {
				before = x.record(place(before.nextGen, int(before.nextAt)))
			}
			before.nextGen, before.nextAt = r.nextGen, r.nextAt
		case r.nextGen != 0:
			x.byHash.slots[slot] = next
		default:
			x.byHash.remove(slot, x.rehashContent)
		}
	}
	x.counts.Contents = x.byHash.n
	x.counts.Described -= uint64(len(g.caps))
}
