package index

import (
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"iter"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
)

// Key names a generation.
type Key struct {
	Store auth.StoreID
	Root  merkle.Hash // the capsule root
}

// Item is a file, or another unit of a source, that holds capsules.
type Item struct {
	// Key names an item that is one generation. Then Name is empty.
	Key Key
	// Name names any other item within its source, such as a plot by its path.
	Name string
	// Size and Modified tell whether the item has changed since it was read. An item with a
	// negative Size is read at every update.
	Size     int64
	Modified time.Time
	// Head says that the generation of Key is the head of its datastore.
	Head bool
}

// Holding is the part of one generation that an item describes and holds.
type Holding struct {
	Key
	Created  uint64               // Unix seconds; 0: not known
	Count    uint32               // capsules of the generation
	Capsules []capsule.Descriptor // that the item describes, ascending by index
	Absent   []int                // places in Capsules whose content the item does not have, ascending
}

// Generation is the summary of a generation in an Index.
type Generation struct {
	Key
	Created   uint64
	Head      bool
	Count     uint32 // capsules of the generation
	Described uint32 // of which the descriptor is known
	Held      uint32 // of which some item has the content
	Bytes     uint64 // of the capsules that are held
}

// Counts are totals of an Index. Equal capsules count at each of their places.
type Counts struct {
	Stores      int
	Generations int
	Described   uint64 // capsules whose descriptor is known
	Held        uint64 // capsules of which some item has the content
	Bytes       uint64 // of the capsules that are held
	Contents    int    // different contents among those described
}

// Place is an item that has the content of a capsule.
type Place struct {
	Source string
	Name   string // of the item; empty for an item that is one generation
}

// Index is safe for concurrent use. New makes one.
type Index struct {
	mu       sync.RWMutex
	seed     maphash.Seed
	gens     []*gen // by id; 0 is none
	free     []uint32
	byKey    table // generations
	byStore  table // the first generation of each datastore
	byHash   table // the newest place of each content
	sources  []string
	items    map[itemKey]*item
	numbered []*item // by number; 0 is none
	counts   Counts
}

// gen is one generation.
type gen struct {
	key     Key
	created uint64
	caps    []record
	index   []uint32 // of caps, ascending; nil: caps[i] has index i
	holders []holder
	held    uint32
	bytes   uint64
	count   uint32
	id      uint32
	next    uint32 // of the same datastore; 0: none
	repeats bool   // several of caps have one hash
}

// record is one capsule. The place of another record with the same hash follows.
type record struct {
	hash, chunkRoot merkle.Hash
	size            uint32
	nextGen         uint32 // 0: none; unlinked: the record is in no chain
	nextAt          uint32
}

// unlinked marks a record whose hash an earlier one of its generation has too.
const unlinked = math.MaxUint32

// holder is an item that holds capsules of a generation.
type holder struct {
	stamp  stamp    // of an item that is the generation
	bits   []uint64 // which of caps; nil: all
	item   uint32   // number of a named item; 0: the item is the generation
	source uint16
	head   bool
}

type stamp struct {
	size, sec int64
	nsec      uint32
}

type itemKey struct {
	source uint16
	name   string
}

// item is a named item.
type item struct {
	itemKey
	number uint32
	stamp  stamp
	gens   []uint32
}

func stampOf(it Item) stamp {
	return stamp{it.Size, it.Modified.Unix(), uint32(it.Modified.Nanosecond())}
}

// New returns an empty Index.
func New() *Index {
	return &Index{seed: maphash.MakeSeed(), gens: make([]*gen, 1), items: map[itemKey]*item{},
		numbered: make([]*item, 1)}
}

// Errors of Set.
var (
	// ErrHolding reports a holding that contradicts itself.
	ErrHolding = errors.New("malformed holding")
	// ErrContradiction reports a holding that describes a capsule otherwise than another item.
	ErrContradiction = errors.New("items describe a capsule differently")
)

const maxSources = 1 << 15

// Set puts an item of a source into the index, in place of what the item held before. Nothing
// changes when it fails, with ErrHolding or ErrContradiction.
func (x *Index) Set(source string, it Item, holdings ...Holding) error {
	for i, h := range holdings {
		err := h.check(it)
		if slices.ContainsFunc(holdings[:i], func(o Holding) bool { return o.Key == h.Key }) {
			err = fmt.Errorf("%w: second of the generation", ErrHolding)
		}
		if err != nil {
			return fmt.Errorf("index root %v of store %v: %w", h.Root, h.Store, err)
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	src, err := x.source(source)
	if err != nil {
		return err
	}
	number := x.number(src, it, false)
	known := it.Name == "" || number != 0
	var stale []*gen // that only the item as it was describes, and otherwise
	for _, h := range holdings {
		err := x.agrees(h)
		if err == nil {
			continue
		}
		g := x.find(h.Key)
		if !known || !g.onlyOf(src, number) {
			return fmt.Errorf("index root %v of store %v: %w", h.Root, h.Store, err)
		}
		stale = append(stale, g)
	}
	old := x.holdersOf(src, it)
	number = x.number(src, it, true)
	for _, g := range stale {
		x.remove(g)
	}
	var gens []uint32
	for _, h := range holdings {
		g := x.describe(h)
		was := g.isHead()
		g.drop(src, number)
		g.holders = append(g.holders, holder{stamp: stampOf(it), bits: g.bits(h), item: number,
			source: src, head: it.Head && number == 0})
		gens = append(gens, g.id)
		x.recount(g)
		x.headChanged(g, was)
	}
	for _, id := range old {
		if g := x.gens[id]; g != nil && !slices.Contains(gens, id) {
			x.leave(g, src, number)
		}
	}
	if number != 0 {
		n := x.numbered[number]
		n.stamp, n.gens = stampOf(it), gens
	}
	return nil
}

// onlyOf reports whether no other item holds capsules of the generation.
func (g *gen) onlyOf(src uint16, number uint32) bool {
	return !slices.ContainsFunc(g.holders, func(h holder) bool {
		return h.source != src || h.item != number
	})
}

// Drop removes an item of a source. It is no error if the item does not exist.
func (x *Index) Drop(source string, it Item) {
	x.mu.Lock()
	defer x.mu.Unlock()
	src, ok := x.sourceOf(source)
	if !ok {
		return
	}
	ids := x.holdersOf(src, it)
	number := x.number(src, it, false)
	for _, id := range ids {
		x.leave(x.gens[id], src, number)
	}
	if number != 0 {
		delete(x.items, x.numbered[number].itemKey)
		x.numbered[number] = nil
	}
}

// SetHead makes a generation the head of its datastore, or one that is not, as far as a source
// goes whose item the generation is. It reports whether there is such an item.
func (x *Index) SetHead(source string, k Key, head bool) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	src, ok := x.sourceOf(source)
	g := x.find(k)
	if !ok || g == nil {
		return false
	}
	h := g.holder(src, 0)
	if h == nil {
		return false
	}
	was := g.isHead()
	h.head = head
	x.headChanged(g, was)
	return true
}

// Mark records whether the items of a source that describe a content have it. If have is set, it
// changes items that are one generation, otherwise all items of the source.
func (x *Index) Mark(source string, hash merkle.Hash, have bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	src, ok := x.sourceOf(source)
	if !ok {
		return
	}
	for g, first := range x.places(hash) {
		for at := first; at < len(g.caps) && (at == first || g.repeats); at++ {
			if g.caps[at].hash == hash {
				x.mark(g, at, src, have)
			}
		}
	}
}

// mark is Mark for one place.
func (x *Index) mark(g *gen, at int, src uint16, have bool) {
	was := g.has(at)
	for n := range g.holders {
		h := &g.holders[n]
		if h.source == src && (!have || h.item == 0) {
			h.set(at, len(g.caps), have)
		}
	}
	size := uint64(g.caps[at].size)
	switch is := g.has(at); {
	case is && !was:
		g.held++
		g.bytes += size
		x.counts.Held++
		x.counts.Bytes += size
	case was && !is:
		g.held--
		g.bytes -= size
		x.counts.Held--
		x.counts.Bytes -= size
	}
}

func (h Holding) check(it Item) error {
	if it.Name == "" && it.Key != h.Key {
		return fmt.Errorf("%w: item is another generation", ErrHolding)
	}
	if len(h.Capsules) == 0 || h.Root.IsZero() || uint64(len(h.Capsules)) > uint64(h.Count) {
		return fmt.Errorf("%w: %d capsules of %d", ErrHolding, len(h.Capsules), h.Count)
	}
	for i, d := range h.Capsules {
		if d.Index >= h.Count || i > 0 && d.Index <= h.Capsules[i-1].Index {
			return fmt.Errorf("%w: capsule %d of %d, in place %d", ErrHolding, d.Index, h.Count, i)
		}
	}
	for i, at := range h.Absent {
		if at < 0 || at >= len(h.Capsules) || i > 0 && at <= h.Absent[i-1] {
			return fmt.Errorf("%w: absent place %d of %d", ErrHolding, at, len(h.Capsules))
		}
	}
	return nil
}

// agrees returns nil if h does not contradict the known generation.
func (x *Index) agrees(h Holding) error {
	g := x.find(h.Key)
	if g == nil {
		return nil
	}
	if g.count != h.Count {
		return fmt.Errorf("%w: %d capsules, and %d", ErrContradiction, h.Count, g.count)
	}
	for _, d := range h.Capsules {
		at, ok := g.at(d.Index)
		if !ok {
			continue
		}
		r := &g.caps[at]
		known := !r.chunkRoot.IsZero() && !d.ChunkRoot.IsZero()
		if r.hash != d.Hash || r.size != d.Size || known && r.chunkRoot != d.ChunkRoot {
			return fmt.Errorf("%w: capsule %d has hash %v, and %v", ErrContradiction, d.Index,
				d.Hash, r.hash)
		}
	}
	return nil
}

// describe returns the generation of h with all descriptors of h.
func (x *Index) describe(h Holding) *gen {
	g := x.find(h.Key)
	if g == nil {
		g = &gen{key: h.Key, created: h.Created, count: h.Count}
		g.take(h.Capsules)
		x.add(g)
		return g
	}
	g.created = max(g.created, h.Created)
	var more []capsule.Descriptor
	for _, d := range h.Capsules {
		at, ok := g.at(d.Index)
		if !ok {
			more = append(more, d)
		} else if g.caps[at].chunkRoot.IsZero() {
			g.caps[at].chunkRoot = d.ChunkRoot
		}
	}
	if len(more) > 0 {
		x.unlink(g)
		g.merge(more)
		x.link(g)
		x.recount(g)
	}
	return g
}

// take fills a new generation.
func (g *gen) take(list []capsule.Descriptor) {
	g.caps = make([]record, len(list))
	if len(list) != int(g.count) {
		g.index = make([]uint32, len(list))
	}
	for i, d := range list {
		g.caps[i] = record{hash: d.Hash, chunkRoot: d.ChunkRoot, size: d.Size}
		if g.index != nil {
			g.index[i] = d.Index
		}
	}
}

// merge adds descriptors of new indices. It does not change what the items hold.
func (g *gen) merge(more []capsule.Descriptor) {
	type had struct {
		capsule.Descriptor
		at int // place before; -1: new
	}
	all := make([]had, 0, len(g.caps)+len(more))
	for i := range g.caps {
		all = append(all, had{g.descriptor(i), i})
	}
	for _, d := range more {
		all = append(all, had{d, -1})
	}
	slices.SortFunc(all, func(a, b had) int { return cmp.Compare(a.Index, b.Index) })
	list := make([]capsule.Descriptor, len(all))
	bits := make([][]uint64, len(g.holders))
	for n := range bits {
		bits[n] = make([]uint64, words(len(all)))
	}
	for i, d := range all {
		list[i] = d.Descriptor
		for n := range g.holders {
			if d.at >= 0 && g.holders[n].has(d.at) {
				bits[n][i/64] |= 1 << (i % 64)
			}
		}
	}
	g.index = nil
	g.take(list)
	for n := range g.holders {
		g.holders[n].bits = bits[n]
	}
}

func words(n int) int { return (n + 63) / 64 }

// bits returns which of the capsules of g the holding has; nil for all.
func (g *gen) bits(h Holding) []uint64 {
	if len(h.Absent) == 0 && len(h.Capsules) == len(g.caps) {
		return nil
	}
	bits := make([]uint64, words(len(g.caps)))
	absent := h.Absent
	for i, d := range h.Capsules {
		if len(absent) > 0 && absent[0] == i {
			absent = absent[1:]
			continue
		}
		at, _ := g.at(d.Index)
		bits[at/64] |= 1 << (at % 64)
	}
	return bits
}

func (h *holder) has(at int) bool { return h.bits == nil || h.bits[at/64]>>(at%64)&1 == 1 }

func (h *holder) set(at, n int, have bool) {
	if h.bits == nil && !have {
		h.bits = make([]uint64, words(n))
		for i := range n {
			h.bits[i/64] |= 1 << (i % 64)
		}
	}
	switch {
	case h.bits == nil:
	case have:
		h.bits[at/64] |= 1 << (at % 64)
	default:
		h.bits[at/64] &^= 1 << (at % 64)
	}
}

// at returns the place of a capsule in caps.
func (g *gen) at(index uint32) (int, bool) {
	if g.index == nil {
		return int(index), uint64(index) < uint64(len(g.caps))
	}
	return slices.BinarySearch(g.index, index)
}

func (g *gen) descriptor(at int) capsule.Descriptor {
	r := &g.caps[at]
	d := capsule.Descriptor{Index: uint32(at), Size: r.size, Hash: r.hash, ChunkRoot: r.chunkRoot}
	if g.index != nil {
		d.Index = g.index[at]
	}
	return d
}

func (g *gen) isHead() bool {
	return slices.ContainsFunc(g.holders, func(h holder) bool { return h.head })
}

func (g *gen) holder(src uint16, number uint32) *holder {
	for i := range g.holders {
		if h := &g.holders[i]; h.source == src && h.item == number {
			return h
		}
	}
	return nil
}

// drop removes the holder of an item.
func (g *gen) drop(src uint16, number uint32) {
	g.holders = slices.DeleteFunc(g.holders, func(h holder) bool {
		return h.source == src && h.item == number
	})
}

// has reports whether some item has the content of a capsule.
func (g *gen) has(at int) bool {
	for i := range g.holders {
		if g.holders[i].has(at) {
			return true
		}
	}
	return false
}

// recount updates the totals after a change of a generation.
func (x *Index) recount(g *gen) {
	x.counts.Held -= uint64(g.held)
	x.counts.Bytes -= g.bytes
	g.held, g.bytes = 0, 0
	for at := range g.caps {
		if g.has(at) {
			g.held++
			g.bytes += uint64(g.caps[at].size)
		}
	}
	x.counts.Held += uint64(g.held)
	x.counts.Bytes += g.bytes
}

// leave removes an item from a generation, and removes the generation if it was the last item.
func (x *Index) leave(g *gen, src uint16, number uint32) {
	was := g.isHead()
	g.drop(src, number)
	if len(g.holders) > 0 {
		x.recount(g)
		x.headChanged(g, was)
		return
	}
	x.remove(g)
}

// headChanged keeps a head in front of the other generations of its datastore. was says whether g
// was one before a change.
func (x *Index) headChanged(g *gen, was bool) {
	if g.isHead() {
		x.lead(g)
	} else if was {
		x.leadAny(g.key.Store)
	}
}

// leadAny puts a head in front, when there is one.
func (x *Index) leadAny(s auth.StoreID) {
	for other := range x.of(s) {
		if other.isHead() {
			x.lead(other)
			return
		}
	}
}

func (x *Index) sourceOf(name string) (uint16, bool) {
	i := slices.Index(x.sources, name)
	return uint16(i), i >= 0
}

// source returns the number of a source, a new one if need be.
func (x *Index) source(name string) (uint16, error) {
	if i, ok := x.sourceOf(name); ok {
		return i, nil
	}
	if len(x.sources) >= maxSources {
		return 0, fmt.Errorf("index: %d sources, expected at most %d", len(x.sources)+1, maxSources)
	}
	x.sources = append(x.sources, name)
	return uint16(len(x.sources) - 1), nil
}

// number returns the number of a named item, a new one if it is to be made, and 0 for an item that
// is a generation.
func (x *Index) number(src uint16, it Item, make bool) uint32 {
	if it.Name == "" {
		return 0
	}
	k := itemKey{src, it.Name}
	if n := x.items[k]; n != nil {
		return n.number
	}
	if !make {
		return 0
	}
	at := slices.Index(x.numbered[1:], nil) + 1
	if at == 0 {
		at = len(x.numbered)
		x.numbered = append(x.numbered, nil)
	}
	n := &item{itemKey: k, number: uint32(at)}
	x.numbered[at], x.items[k] = n, n
	return n.number
}

// holdersOf returns the generations of which an item holds capsules.
func (x *Index) holdersOf(src uint16, it Item) []uint32 {
	if it.Name != "" {
		if n := x.items[itemKey{src, it.Name}]; n != nil {
			return n.gens
		}
		return nil
	}
	if g := x.find(it.Key); g != nil && g.holder(src, 0) != nil {
		return []uint32{g.id}
	}
	return nil
}

// Stat returns the descriptor of a capsule; a zero ref.Root means the head. Absence is
// fs.ErrNotExist.
func (x *Index) Stat(ref capsule.Ref) (capsule.Descriptor, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	g, at, err := x.locate(ref)
	if err != nil {
		return capsule.Descriptor{}, err
	}
	return g.descriptor(at), nil
}

// Where returns the items that have the content of a capsule. It returns none if the capsule is
// described and not held, and fs.ErrNotExist if it is not described.
func (x *Index) Where(ref capsule.Ref) ([]Place, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	g, at, err := x.locate(ref)
	if err != nil {
		return nil, err
	}
	var places []Place
	for i := range g.holders {
		h := &g.holders[i]
		if !h.has(at) {
			continue
		}
		p := Place{Source: x.sources[h.source]}
		if h.item != 0 {
			p.Name = x.numbered[h.item].name
		}
		places = append(places, p)
	}
	return places, nil
}

func (x *Index) locate(ref capsule.Ref) (*gen, int, error) {
	g := x.generation(ref.Store, ref.Root)
	if g == nil {
		return nil, 0, fmt.Errorf("capsule %v: %w", ref, fs.ErrNotExist)
	}
	at, ok := g.at(ref.Index)
	if !ok {
		return nil, 0, fmt.Errorf("capsule %v: %w", ref, fs.ErrNotExist)
	}
	return g, at, nil
}

// generation returns a generation, the head for a zero root; nil: there is none.
func (x *Index) generation(s auth.StoreID, root merkle.Hash) *gen {
	if !root.IsZero() {
		return x.find(Key{s, root})
	}
	for g := range x.of(s) { // a head is in front
		if g.isHead() {
			return g
		}
		break
	}
	return nil
}

// Find returns a place of the content of a hash. It prefers places that are held, and among those
// places in a head. If there is none, the error is fs.ErrNotExist.
func (x *Index) Find(hash merkle.Hash) (capsule.Ref, capsule.Descriptor, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var best *gen
	var at, rank int
	for g, i := range x.places(hash) {
		r := 1
		if g.isHead() {
			r = 2
		}
		if g.has(i) {
			r += 2
		}
		if r > rank {
			best, at, rank = g, i, r
		}
	}
	if best == nil {
		return capsule.Ref{}, capsule.Descriptor{}, fmt.Errorf("capsule with hash %v: %w", hash,
			fs.ErrNotExist)
	}
	d := best.descriptor(at)
	return capsule.Ref{Store: best.key.Store, Root: best.key.Root, Index: d.Index}, d, nil
}

// Generation returns the summary of a generation; a zero root means the head. If there is none, the
// error is fs.ErrNotExist.
func (x *Index) Generation(s auth.StoreID, root merkle.Hash) (Generation, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	g := x.generation(s, root)
	if g == nil {
		return Generation{}, fmt.Errorf("root %v of store %v: %w", root, s, fs.ErrNotExist)
	}
	return g.info(), nil
}

func (g *gen) info() Generation {
	return Generation{Key: g.key, Created: g.created, Head: g.isHead(), Count: g.count,
		Described: uint32(len(g.caps)), Held: g.held, Bytes: g.bytes}
}

// Stores returns the datastores, ascending.
func (x *Index) Stores() []auth.StoreID {
	x.mu.RLock()
	defer x.mu.RUnlock()
	ids := make([]auth.StoreID, 0, x.counts.Stores)
	for v := range x.byStore.values() {
		ids = append(ids, x.gens[v].key.Store)
	}
	slices.SortFunc(ids, auth.StoreID.Compare)
	return ids
}

// Generations returns the generations of a datastore, ascending by root.
func (x *Index) Generations(s auth.StoreID) []Generation {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var all []Generation
	for g := range x.of(s) {
		all = append(all, g.info())
	}
	slices.SortFunc(all, func(a, b Generation) int { return a.Root.Compare(b.Root) })
	return all
}

// capsuleBatch is how many capsules are copied at a time for Capsules.
const capsuleBatch = 256

// Capsules yields the capsules of a generation that are described, and whether they are held,
// ascending by index. The index may be read and changed meanwhile: what was yielded is as it was at
// some time since the call, and the capsules of a generation that is removed end.
func (x *Index) Capsules(k Key) iter.Seq2[capsule.Descriptor, bool] {
	return func(yield func(capsule.Descriptor, bool) bool) {
		var list []capsule.Descriptor
		var held []bool
		for from := uint64(0); ; {
			list, held = x.capsules(k, from, list[:0], held[:0])
			for i, d := range list {
				if !yield(d, held[i]) {
					return
				}
				from = uint64(d.Index) + 1
			}
			if len(list) < capsuleBatch {
				return
			}
		}
	}
}

// capsules appends up to capsuleBatch capsules of a generation, from an index on, and whether they
// are held.
func (x *Index) capsules(k Key, from uint64, list []capsule.Descriptor, held []bool,
) ([]capsule.Descriptor, []bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	g := x.find(k)
	if g == nil || from > math.MaxUint32 {
		return list, held
	}
	at, _ := g.at(uint32(from))
	for ; at < len(g.caps) && len(list) < capsuleBatch; at++ {
		list, held = append(list, g.descriptor(at)), append(held, g.has(at))
	}
	return list, held
}

// Counts returns the totals.
func (x *Index) Counts() Counts {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.counts
}
