package module

import (
	"encoding/binary"
	"slices"
	"sync"

	"github.com/dig-network/digstore/merkle"
)

// A table is the key table of a module with the layout of Compose, in columns. Its
// resources use chunks[first:first+pool], the pool.
type table struct {
	generation merkle.Hash   // in every row
	first      int           // index of the first chunk of the pool
	pool       int           // number of chunks in the pool
	keys       []merkle.Hash // of the resources, in the order of the table
	starts     []uint32      // resource i has refs[starts[i]:starts[i+1]]
	refs       []uint32      // indices in the pool
	leaves     []merkle.Hash // of resources that have not exactly one chunk, in the same order

	sorting sync.Once
	order   []uint32 // the resources in the order of their keys
	prefix  []uint64 // the first eight bytes of their keys, in that order
	tree    *merkle.Tree
	many    map[int]int // resource to index in leaves

	growing sync.Once
}

const (
	rowFixed = 32 + 32 + 4 + 8 // a row of the key table without its indices
	keyTail  = 32 + 32 + 4     // the part of a row before the indices
)

func (t *table) len() int { return len(t.keys) }

// rows returns the length of the body of section 8.
func (t *table) rows() int64 { return 4 + rowFixed*int64(len(t.keys)) + 4*int64(len(t.refs)) }

func (t *table) refsOf(i int) []uint32 { return t.refs[t.starts[i]:t.starts[i+1]] }

// sort sorts the keys at the first call.
func (t *table) sort() {
	t.sorting.Do(func() {
		type row struct {
			prefix uint64
			i      uint32
		}
		rows := make([]row, len(t.keys))
		t.many = make(map[int]int)
		for i := range t.keys {
			rows[i] = row{binary.BigEndian.Uint64(t.keys[i][:8]), uint32(i)}
			if t.starts[i+1]-t.starts[i] != 1 {
				t.many[i] = len(t.many)
			}
		}
		slices.SortFunc(rows, func(a, b row) int {
			if a.prefix != b.prefix {
				if a.prefix < b.prefix {
					return -1
				}
				return 1
			}
			return t.keys[a.i].Compare(t.keys[b.i])
		})
		t.order, t.prefix = make([]uint32, len(rows)), make([]uint64, len(rows))
		for at, r := range rows {
			t.order[at], t.prefix[at] = r.i, r.prefix
		}
	})
}

// find returns the resource with that key and its rank.
func (t *table) find(key merkle.Hash) (i, rank int, ok bool) {
	t.sort()
	prefix := binary.BigEndian.Uint64(key[:8])
	at, _ := slices.BinarySearch(t.prefix, prefix)
	for ; at < len(t.prefix) && t.prefix[at] == prefix; at++ {
		if t.keys[t.order[at]] == key {
			return int(t.order[at]), at, true
		}
	}
	return 0, 0, false
}

// unique reports whether all keys differ.
func (t *table) unique() bool {
	t.sort()
	for at := 1; at < len(t.order); at++ {
		if t.prefix[at] == t.prefix[at-1] && t.keys[t.order[at]] == t.keys[t.order[at-1]] {
			return false
		}
	}
	return true
}

// leaf returns the leaf of resource i. The keys must have been sorted.
func (t *table) leaf(i int, chunks []Chunk) merkle.Hash {
	if refs := t.refsOf(i); len(refs) == 1 {
		return chunks[t.first+int(refs[0])].ID
	}
	return t.leaves[t.many[i]]
}

// grow returns the tree over the leaves, which is built at the first call.
func (t *table) grow(chunks []Chunk) *merkle.Tree {
	t.growing.Do(func() { t.tree = merkle.NewTree(t.sortedLeaves(chunks)) })
	return t.tree
}

func (t *table) sortedLeaves(chunks []Chunk) []merkle.Hash {
	t.sort()
	leaves := make([]merkle.Hash, len(t.order))
	for rank, i := range t.order {
		leaves[rank] = t.leaf(int(i), chunks)
	}
	return leaves
}

// chunksOf returns the chunks of resource i. They are copied only if they are not
// contiguous in the pool.
func (t *table) chunksOf(i int, chunks []Chunk) []Chunk {
	refs := t.refsOf(i)
	if len(refs) == 0 {
		return nil
	}
	pool := chunks[t.first:]
	row := true
	for j, ref := range refs {
		row = row && ref == refs[0]+uint32(j)
	}
	if from := int(refs[0]); row {
		return pool[from : from+len(refs) : from+len(refs)]
	}
	out := make([]Chunk, len(refs))
	for j, ref := range refs {
		out[j] = pool[ref]
	}
	return out
}

// A window is a writer that skips bytes and then fills p.
type window struct {
	p    []byte
	skip int64
}

func (w *window) full() bool { return len(w.p) == 0 }

func (w *window) write(b []byte) {
	if w.skip >= int64(len(b)) {
		w.skip -= int64(len(b))
		return
	}
	w.p = w.p[copy(w.p, b[w.skip:]):]
	w.skip = 0
}

// readRows fills p with the body of section 8, from offset from on.
func (t *table) readRows(p []byte, from int64, chunks []Chunk) {
	w := window{p, from}
	var b [keyTail]byte
	i := 0
	if from >= 4 {
		i = t.rowAt(from)
		w.skip = from - t.rowStart(i)
	} else {
		w.write(binary.BigEndian.AppendUint32(b[:0], uint32(len(t.keys))))
	}
	for ; i < len(t.keys) && !w.full(); i++ {
		refs := t.refsOf(i)
		copy(b[:], t.keys[i][:])
		copy(b[32:], t.generation[:])
		binary.BigEndian.PutUint32(b[64:], uint32(len(refs)))
		w.write(b[:])
		var total uint64
		for _, ref := range refs {
			total += uint64(chunks[t.first+int(ref)].Len)
		}
		if jump := min(int(w.skip/4), len(refs)); jump > 0 {
			w.skip -= 4 * int64(jump)
			refs = refs[jump:]
		}
		for _, ref := range refs {
			if w.full() {
				return
			}
			w.write(binary.BigEndian.AppendUint32(b[:0], ref))
		}
		w.write(binary.BigEndian.AppendUint64(b[:0], total))
	}
}

// rowStart returns the offset of row i in the body of section 8.
func (t *table) rowStart(i int) int64 {
	return 4 + rowFixed*int64(i) + 4*int64(t.starts[i])
}

// rowAt returns the row that holds the byte at offset off of the body of section 8, or
// the number of rows.
func (t *table) rowAt(off int64) int {
	lo, hi := 0, len(t.keys) // rowStart(lo) <= off, and off < rowStart(hi) or hi is past the last
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; t.rowStart(mid) <= off {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

// readLeaves fills p with the body of section 10, from offset from on.
func (t *table) readLeaves(p []byte, from int64, chunks []Chunk) {
	t.sort()
	w := window{p, from}
	rank := 0
	if from >= 4 {
		rank = int((from - 4) / int64(len(merkle.Hash{})))
		w.skip = (from - 4) % int64(len(merkle.Hash{}))
	} else {
		w.write(binary.BigEndian.AppendUint32(nil, uint32(len(t.keys))))
	}
	for ; rank < len(t.order) && !w.full(); rank++ {
		leaf := t.leaf(int(t.order[rank]), chunks)
		w.write(leaf[:])
	}
}
