package module

import (
	"encoding/binary"
	"errors"
	"iter"
	"slices"
	"sync"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// A Recipe is a module without the bodies of its chunks and without the filler of
// FORMAT.md 6.3. With a ChunkSource it reproduces the module bit for bit. It takes
// about 70 bytes for each small resource.
//
// Compose, Decompose and ParseRecipe return Recipes. A Recipe never changes and is
// safe for concurrent use.
type Recipe struct {
	chunks []Chunk // distinct chunks, in the order of first use
	ends   []int64 // ends[i]: total length of the frames of chunks[:i]
	parts  []part  // the whole module, in order
	size   int64
	plain  []byte // the bytes of all plain parts
	fill   []ID   // the key streams of filler parts
	table  *table // the resources; nil if the module has another layout than that of Compose

	head    *header
	hashed  map[int]merkle.Hash // leaves of resources of several chunks that Decompose hashed itself
	trusted bool                // the ids of the chunks were hashed by Decompose

	odd struct { // entries of a module without a table
		sync.Once
		entries []Entry
		byKey   map[merkle.Hash]int
	}
	digest struct {
		sync.Once
		sum merkle.Hash
		err error
	}
}

// Digest returns the SHA-256 of the encoding of the recipe. It identifies the bytes of the module:
// recipes of different modules have different digests. The first call encodes the recipe.
func (r *Recipe) Digest() (merkle.Hash, error) {
	r.digest.Do(func() {
		var b []byte
		if b, r.digest.err = r.MarshalBinary(); r.digest.err == nil {
			r.digest.sum = merkle.Sum(b)
		}
	})
	return r.digest.sum, r.digest.err
}

// A part is a run of bytes of the module.
type part struct {
	off, n int64
	kind   partKind
	a, b   int64
}

type partKind uint8

const (
	partPlain  partKind = iota // bytes of plain, from offset a on
	partFrames                 // frames of chunks[a:a+b]
	partBody                   // the body of chunks[a], without a frame
	partFiller                 // the key stream of fill[b], from offset a on
	partTable                  // the body of section 8, made from table
	partLeaves                 // the body of section 10, made from table
)

// ID returns the store and the root that the module states.
func (r *Recipe) ID() ID { return r.head.id }

// Root returns the root that the module states.
func (r *Recipe) Root() merkle.Hash { return r.head.id.Root }

// PublicKey returns the publisher key that the module states; zero if there is none.
func (r *Recipe) PublicKey() auth.PublicKey { return r.head.key }

// Size returns the length of the module in bytes.
func (r *Recipe) Size() int64 { return r.size }

// Pool returns the distinct chunks that the module takes from a ChunkSource, in the
// order in which they first occur in it. For a module of Compose that is its pool.
// The slice must not be changed.
func (r *Recipe) Pool() []Chunk { return r.chunks }

// Len returns the number of resources.
func (r *Recipe) Len() int {
	if r.table == nil {
		r.readOdd()
		return len(r.odd.entries)
	}
	return r.table.len()
}

// Entries returns the resources in the order of the key table. If the module has
// another layout than that of Compose, resources with a repeated key and those
// whose chunks are not in a well-formed pool are left out; Module.Resources returns
// all. The chunks of an entry must not be changed.
func (r *Recipe) Entries() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		if r.table == nil {
			r.readOdd()
			for _, e := range r.odd.entries {
				if !yield(e) {
					return
				}
			}
			return
		}
		r.table.sort()
		for i := range r.table.keys {
			if !yield(r.entry(i)) {
				return
			}
		}
	}
}

// Entry returns the resource with that retrieval key. It takes O(log n); the first
// call sorts the keys.
func (r *Recipe) Entry(key merkle.Hash) (Entry, bool) {
	if r.table == nil {
		r.readOdd()
		i, ok := r.odd.byKey[key]
		if !ok {
			return Entry{}, false
		}
		return r.odd.entries[i], true
	}
	i, _, ok := r.table.find(key)
	if !ok {
		return Entry{}, false
	}
	return r.entry(i), true
}

func (r *Recipe) entry(i int) Entry {
	t := r.table
	return Entry{Key: t.keys[i], Leaf: t.leaf(i, r.chunks), Chunks: t.chunksOf(i, r.chunks)}
}

// readOdd reads the resources of a module without a table.
func (r *Recipe) readOdd() {
	r.odd.Do(func() {
		r.odd.byKey = make(map[merkle.Hash]int)
		m := r.module(nil)
		for res, err := range m.Resources() {
			if err != nil {
				return
			}
			e := Entry{Key: res.key, Leaf: res.leaf}
			if _, again := r.odd.byKey[e.Key]; again || !r.oddChunks(res, &e) {
				continue
			}
			r.odd.byKey[e.Key] = len(r.odd.entries)
			r.odd.entries = append(r.odd.entries, e)
		}
	})
}

// oddChunks finds the chunks of a resource by the offsets of their frames.
func (r *Recipe) oddChunks(res *Resource, e *Entry) bool {
	for _, at := range res.bodies {
		c, ok := r.chunkAt(at - 4)
		if !ok {
			return false
		}
		e.Chunks = append(e.Chunks, c)
	}
	return true
}

// chunkAt returns the chunk whose frame begins at that byte of the module.
func (r *Recipe) chunkAt(off int64) (Chunk, bool) {
	p := r.parts[r.partAt(off)]
	if p.kind != partFrames || off < p.off || off >= p.off+p.n {
		return Chunk{}, false
	}
	want := r.ends[p.a] + off - p.off
	i, ok := slices.BinarySearch(r.ends[p.a:p.a+p.b], want)
	if !ok {
		return Chunk{}, false
	}
	return r.chunks[int(p.a)+i], true
}

// partAt returns the index of the part that holds byte off of the module.
func (r *Recipe) partAt(off int64) int {
	i, ok := slices.BinarySearchFunc(r.parts, off, func(p part, off int64) int {
		switch {
		case p.off < off:
			return -1
		case p.off > off:
			return 1
		}
		return 0
	})
	if !ok {
		i--
	}
	return max(i, 0)
}

// add appends a part of n bytes.
func (r *Recipe) add(kind partKind, n, a, b int64) {
	r.parts = append(r.parts, part{off: r.size, n: n, kind: kind, a: a, b: b})
	r.size += n
}

// addPlain appends plain bytes. It extends the last part if that is plain.
func (r *Recipe) addPlain(b []byte) {
	if len(b) == 0 {
		return
	}
	n := int64(len(b))
	if last := len(r.parts) - 1; last >= 0 && r.parts[last].kind == partPlain {
		r.parts[last].n += n
		r.size += n
	} else {
		r.add(partPlain, n, int64(len(r.plain)), 0)
	}
	r.plain = append(r.plain, b...)
}

// measure fills ends.
func (r *Recipe) measure() {
	r.ends = make([]int64, len(r.chunks)+1)
	for i, c := range r.chunks {
		r.ends[i+1] = r.ends[i] + 4 + int64(c.Len)
	}
}

// errTable reports a recipe whose table is not that of the module.
var errTable = errors.New("table differs from sections 8, 9 and 10")

// finish reads the header of the module. A table must be that of the module, so that
// look-ups in the table have the results of look-ups in the module.
func (r *Recipe) finish() error {
	head, err := readHeader(r.Image(nil), r.size)
	if err != nil {
		return err
	}
	r.head = head
	if r.table != nil && !r.tableMatches() {
		return errTable
	}
	return nil
}

// tableMatches reports whether sections 8, 9 and 10 are the parts that are made from the
// table.
func (r *Recipe) tableMatches() bool {
	var rows, leaves, frames bool
	pool := r.head.sections[SectionChunkPool]
	for _, p := range r.parts {
		at := byteRange{p.off, p.n}
		switch p.kind {
		case partTable:
			rows = at == r.head.sections[SectionKeyTable]
		case partLeaves:
			leaves = at == r.head.sections[SectionMerkleNodes]
		case partFrames:
			if p.off == pool.off+4 && p.off+p.n == pool.end() {
				frames = int(p.a) == r.table.first && int(p.b) == r.table.pool
			}
		}
	}
	if r.table.pool == 0 {
		frames = pool.n == 4
	}
	var count [4]byte
	if _, err := r.Image(nil).ReadAt(count[:], pool.off); err != nil {
		return false
	}
	return rows && leaves && frames && int64(binary.BigEndian.Uint32(count[:])) == int64(r.table.pool)
}
