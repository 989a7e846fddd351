package module

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// The encoding of a Recipe. Numbers are unsigned LEB128 unless they have
// another size here; hashes are 32 raw bytes. Everything of one kind stands
// together, in the order of the module, so that two generations of a store have
// long stretches in common.
//
//	u8      version = 1
//	number  chunks C
//	C ×     number: length of the chunk
//	C ×     hash: id of the chunk
//	u8      1 if there is a table, else 0. The table:
//	        hash    generation, in every row
//	        number  first chunk of the pool
//	        number  chunks in the pool
//	        number  resources N
//	        N ×     hash: retrieval key
//	        N ×     number: how many chunks
//	        for each chunk of each resource, a number d that gives its place in
//	                the pool: with next = one more than the highest place so
//	                far, next + d/2 for an even d, next - (d+1)/2 for an odd
//	                one; so 0 stands for a chunk that is used first here
//	        for each resource that has not exactly one chunk, a hash: its leaf
//	number  key streams F
//	F ×     store id(32) || root(32)
//	number  parts P
//	P ×     u8 kind, then numbers:
//	        0 plain bytes: how many
//	        1 frames of the pool or of an earlier one: first chunk, how many
//	        2 body of a chunk, without a frame: chunk
//	        3 filler: how many bytes, from which byte of the stream, which stream
//	        4 body of section 8
//	        5 body of section 10
//	rest    the plain bytes of all parts, one after the other
const recipeVersion = 1

// deltaRef returns the number that stands for a place in the pool.
func deltaRef(ref, next uint32) uint64 {
	if ref < next {
		return uint64(next-ref)*2 - 1
	}
	return uint64(ref-next) * 2
}

func undeltaRef(d uint64, next uint32) (ref uint32, ok bool) {
	if d%2 == 1 {
		back := d/2 + 1
		return next - uint32(back), back <= uint64(next)
	}
	at := uint64(next) + d/2
	return uint32(at), d/2 <= math.MaxUint32 && at < math.MaxUint32
}

// MarshalBinary returns the encoding of r. The same module always has the same
// encoding. It is not compressed; the recipe of another generation of the same
// store makes a good dictionary for it.
func (r *Recipe) MarshalBinary() ([]byte, error) { return r.AppendBinary(nil) }

// AppendBinary appends what MarshalBinary returns. It never fails.
func (r *Recipe) AppendBinary(b []byte) ([]byte, error) {
	size := 256 + 36*len(r.chunks) + len(r.plain) + 16*len(r.parts)
	if t := r.table; t != nil {
		size += 34*len(t.keys) + 2*len(t.refs) + 32*len(t.leaves)
	}
	b = slices.Grow(b, size)

	b = append(b, recipeVersion)
	b = binary.AppendUvarint(b, uint64(len(r.chunks)))
	for _, c := range r.chunks {
		b = binary.AppendUvarint(b, uint64(c.Len))
	}
	for i := range r.chunks {
		b = append(b, r.chunks[i].ID[:]...)
	}
	if r.table == nil {
		b = append(b, 0)
	} else {
		b = r.table.append(append(b, 1))
	}
	b = binary.AppendUvarint(b, uint64(len(r.fill)))
	for _, id := range r.fill {
		b, _ = id.AppendBinary(b)
	}
	b = binary.AppendUvarint(b, uint64(len(r.parts)))
	for _, p := range r.parts {
		b = append(b, byte(p.kind))
		switch p.kind {
		case partPlain:
			b = binary.AppendUvarint(b, uint64(p.n))
		case partFrames:
			b = binary.AppendUvarint(b, uint64(p.a))
			b = binary.AppendUvarint(b, uint64(p.b))
		case partBody:
			b = binary.AppendUvarint(b, uint64(p.a))
		case partFiller:
			b = binary.AppendUvarint(b, uint64(p.n))
			b = binary.AppendUvarint(b, uint64(p.a))
			b = binary.AppendUvarint(b, uint64(p.b))
		}
	}
	return append(b, r.plain...), nil
}

func (t *table) append(b []byte) []byte {
	b = append(b, t.generation[:]...)
	b = binary.AppendUvarint(b, uint64(t.first))
	b = binary.AppendUvarint(b, uint64(t.pool))
	b = binary.AppendUvarint(b, uint64(len(t.keys)))
	for i := range t.keys {
		b = append(b, t.keys[i][:]...)
	}
	for i := range t.keys {
		b = binary.AppendUvarint(b, uint64(t.starts[i+1]-t.starts[i]))
	}
	next := uint32(0)
	for _, ref := range t.refs {
		b = binary.AppendUvarint(b, deltaRef(ref, next))
		next = max(next, ref+1)
	}
	for i := range t.leaves {
		b = append(b, t.leaves[i][:]...)
	}
	return b
}

// errRecipe is behind what is wrong with the bytes of a recipe.
var errRecipe = errors.New("value not allowed")

// A recipeReader reads numbers and hashes, and keeps its first error.
type recipeReader struct {
	b   []byte
	err error
}

func (r *recipeReader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
	r.b = nil
}

// take returns the next n bytes, or nil and an error.
func (r *recipeReader) take(n int) []byte {
	if n > len(r.b) {
		r.fail("%d bytes wanted, %d left: %w", n, len(r.b), io.ErrUnexpectedEOF)
		return nil
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

func (r *recipeReader) byte() byte {
	if p := r.take(1); p != nil {
		return p[0]
	}
	return 0
}

// number reads a number in its shortest form.
func (r *recipeReader) number(limit uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > limit || (n > 1 && r.b[n-1] == 0) {
		r.fail("number: %w: at most %d, in its shortest form", errRecipe, limit)
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads how many items of at least size bytes follow.
func (r *recipeReader) count(size int) int {
	return int(r.number(uint64(len(r.b) / size)))
}

func (r *recipeReader) hash() (h merkle.Hash) {
	copy(h[:], r.take(len(h)))
	return h
}

func (r *recipeReader) hashes(n int) []merkle.Hash {
	if len(r.b)/32 < n {
		r.fail("%d hashes: %w", n, io.ErrUnexpectedEOF)
		return nil
	}
	out := make([]merkle.Hash, n)
	for i := range out {
		copy(out[i][:], r.b[32*i:])
	}
	r.b = r.b[32*n:]
	return out
}

// ParseRecipe reads the encoding of a Recipe and keeps no reference to it. What
// it accepts gives the header of a well-formed module; whether it is the module
// that is meant, Verify says. Its length may be far above that of b: look at
// Size before reading it all. Errors match ErrRecipe.
func ParseRecipe(b []byte) (*Recipe, error) {
	r := &recipeReader{b: b}
	if v := r.byte(); v != recipeVersion {
		r.fail("version %d: %w: want %d", v, errRecipe, recipeVersion)
	}
	rec := &Recipe{chunks: make([]Chunk, r.count(33))}
	for i := range rec.chunks {
		rec.chunks[i].Len = uint32(r.number(math.MaxUint32))
	}
	ids := r.take(32 * len(rec.chunks))
	for i := range min(len(ids)/32, len(rec.chunks)) {
		copy(rec.chunks[i].ID[:], ids[32*i:])
	}
	rec.measure()
	if v := r.number(1); v == 1 {
		rec.table = r.readTable(len(rec.chunks))
	}
	rec.fill = make([]ID, r.count(64))
	for i := range rec.fill {
		rec.fill[i] = ID{Store: auth.StoreID(r.hash()), Root: r.hash()}
	}
	plain := r.readParts(rec)
	if r.err == nil && int64(len(r.b)) != plain {
		r.fail("%d plain bytes at the end, want %d: %w", len(r.b), plain, errRecipe)
	}
	if r.err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecipe, r.err)
	}
	rec.plain = append([]byte(nil), r.b...)
	if err := rec.finish(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecipe, err)
	}
	return rec, nil
}

func (r *recipeReader) readTable(chunks int) *table {
	t := &table{generation: r.hash()}
	t.first = int(r.number(uint64(chunks)))
	t.pool = int(r.number(uint64(chunks - t.first)))
	n := r.count(33)
	t.keys = r.hashes(n)
	t.starts = make([]uint32, n+1)
	refs, others := uint64(0), 0
	for i := range n {
		k := r.number(uint64(len(r.b)))
		if k != 1 {
			others++
		}
		refs += k
		if refs > uint64(len(r.b)) {
			r.fail("chunks of resources: %w: more than there are bytes", errRecipe)
		}
		if r.err != nil {
			return nil
		}
		t.starts[i+1] = uint32(refs)
	}
	t.refs = make([]uint32, refs)
	next := uint32(0)
	for i := range t.refs {
		ref, ok := undeltaRef(r.number(math.MaxUint64), next)
		if !ok || int64(ref) >= int64(t.pool) {
			r.fail("place in the pool: %w", errRecipe)
			return nil
		}
		t.refs[i] = ref
		next = max(next, ref+1)
	}
	t.leaves = r.hashes(others)
	if r.err == nil && !t.unique() {
		r.fail("a retrieval key comes twice: %w", errRecipe)
	}
	return t
}

// maxModule bounds the length of a module that a recipe may describe, so that
// sums cannot overflow.
const maxModule = 1 << 33

// readParts reads the parts and returns how many plain bytes they have.
func (r *recipeReader) readParts(rec *Recipe) (plain int64) {
	n := r.count(1)
	rec.parts = make([]part, 0, min(n, 1024))
	last := partKind(math.MaxUint8)
	tables := [2]int{}
	frames := int64(0)
	for range n {
		kind := partKind(r.byte())
		if r.err != nil {
			return 0
		}
		switch {
		case kind == partPlain && last != partPlain:
			k := int64(r.number(uint64(len(r.b))))
			rec.add(kind, k, plain, 0)
			plain += k
		case kind == partFrames:
			a := int64(r.number(uint64(len(rec.chunks))))
			k := int64(r.number(uint64(len(rec.chunks)) - uint64(a)))
			if frames += k; frames > int64(len(rec.chunks))+maxPieces {
				r.fail("%d frames of %d chunks: %w", frames, len(rec.chunks), errRecipe)
				return 0
			}
			rec.add(kind, rec.ends[a+k]-rec.ends[a], a, k)
		case kind == partBody && len(rec.chunks) > 0:
			a := r.number(uint64(len(rec.chunks) - 1))
			rec.add(kind, int64(rec.chunks[a].Len), int64(a), 0)
		case kind == partFiller && len(rec.fill) > 0:
			k := int64(r.number(math.MaxUint32))
			a := int64(r.number(math.MaxUint32))
			rec.add(kind, k, a, int64(r.number(uint64(len(rec.fill)-1))))
		case kind == partTable && rec.table != nil:
			tables[0]++
			rec.add(kind, rec.table.rows(), 0, 0)
		case kind == partLeaves && rec.table != nil:
			tables[1]++
			rec.add(kind, 4+32*int64(rec.table.len()), 0, 0)
		default:
			r.fail("part of kind %d: %w here", kind, errRecipe)
		}
		if p := len(rec.parts) - 1; p >= 0 && rec.parts[p].n == 0 {
			r.fail("empty part: %w", errRecipe)
		}
		if rec.size > maxModule {
			r.fail("module of more than %d bytes: %w", int64(maxModule), errRecipe)
		}
		last = kind
	}
	if rec.table != nil && tables != [2]int{1, 1} {
		r.fail("table that stands in the module %d and %d times, want once: %w", tables[0], tables[1], errRecipe)
	}
	return plain
}
