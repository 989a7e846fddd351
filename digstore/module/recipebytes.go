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

// The encoding of a Recipe is that of remote/RECIPES.md 1. Values of one kind are stored together,
// in the order of the module, so that two generations of a store have long runs in common.
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

// errRecipe is wrapped by errors about values that the encoding does not allow.
var errRecipe = errors.New("value not allowed")

// A recipeReader reads numbers and hashes. It keeps its first error.
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
		r.fail("want %d bytes, found %d: %w", n, len(r.b), io.ErrUnexpectedEOF)
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
		r.fail("number: %w: want at most %d, in its shortest form", errRecipe, limit)
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads a number of items that have size bytes or more each.
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

// ParseRecipe reads the encoding of a Recipe and keeps no reference to b. The header
// of the module is well-formed then; use Verify for the rest. The module may be much
// longer than b: check Size before reading all of it. Errors match ErrRecipe.
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
			r.fail("chunk counts of resources exceed the bytes that follow: %w", errRecipe)
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
			r.fail("index in the pool: %w", errRecipe)
			return nil
		}
		t.refs[i] = ref
		next = max(next, ref+1)
	}
	t.leaves = r.hashes(others)
	if r.err == nil && !t.unique() {
		r.fail("duplicate retrieval key: %w", errRecipe)
	}
	return t
}

// maxModule limits the length of the module of a recipe, so that sums cannot
// overflow.
const maxModule = 1 << 33

// readParts reads the parts and returns the number of their plain bytes.
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
			r.fail("part of kind %d: %w", kind, errRecipe)
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
		r.fail("table used %d and %d times, want once each: %w", tables[0], tables[1], errRecipe)
	}
	return plain
}
