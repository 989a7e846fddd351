package module

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/dig-network/digstore/merkle"
)

// parseTable reads the body of section 8 into columns. It returns nil for a body
// that a table cannot represent. The pool is checked later, by tabulate.
func parseTable(b []byte) (*table, []uint64) {
	if len(b) < 4 {
		return nil, nil
	}
	n := int64(binary.BigEndian.Uint32(b))
	if n > int64(len(b)-4)/rowFixed {
		return nil, nil
	}
	refs := (int64(len(b)-4) - n*rowFixed) / 4
	t := &table{keys: make([]merkle.Hash, n), starts: make([]uint32, n+1),
		refs: make([]uint32, 0, refs)}
	totals := make([]uint64, n)
	b = b[4:]
	for i := range n {
		if len(b) < rowFixed {
			return nil, nil
		}
		copy(t.keys[i][:], b)
		if i == 0 {
			copy(t.generation[:], b[32:64])
		} else if !bytes.Equal(t.generation[:], b[32:64]) {
			return nil, nil
		}
		refs := int64(binary.BigEndian.Uint32(b[64:]))
		b = b[keyTail:]
		if refs > int64(len(b)-8)/4 {
			return nil, nil
		}
		for ; refs > 0; refs-- {
			t.refs = append(t.refs, binary.BigEndian.Uint32(b))
			b = b[4:]
		}
		t.starts[i+1] = uint32(len(t.refs))
		totals[i] = binary.BigEndian.Uint64(b)
		b = b[8:]
	}
	if len(b) > 0 {
		return nil, nil
	}
	return t, totals
}

// finish makes the recipe after the pipeline has ended.
func (t *decomposer) finish() (*Recipe, error) {
	r := &Recipe{chunks: t.pipe.chunks, fill: t.fill, trusted: true}
	r.measure()
	if t.tabulate(r) {
		r.hashed = t.pipe.leaves
	} else {
		t.untable()
	}
	for _, e := range t.done {
		switch e.kind {
		case partPlain:
			r.addPlain(e.plain)
		case partFrames:
			for i := e.a; i < e.a+e.b; i++ {
				r.addFrame(int64(t.pipe.places[i]))
			}
		case partBody:
			place := t.pipe.places[e.a]
			r.add(partBody, int64(r.chunks[place].Len), int64(place), 0)
		case partFiller:
			r.add(partFiller, e.n, e.a, e.b)
		default:
			r.add(e.kind, int64(len(e.plain)), 0, 0)
		}
	}
	if r.size > maxModule {
		return nil, fmt.Errorf("decompose module: %d bytes, want at most %d: %w",
			r.size, int64(maxModule), ErrTooLarge)
	}
	if err := r.finish(); err != nil {
		return nil, fmt.Errorf("decompose module: %w", err)
	}
	return r, nil
}

// untable makes plain bytes of a key table and of leaves that a table cannot
// represent. They stay in the recipe, so that its resources can be listed.
func (t *decomposer) untable() {
	for i := range t.done {
		if k := t.done[i].kind; k == partTable || k == partLeaves {
			t.done[i].kind = partPlain
		}
	}
}

// addFrame appends the frame of a chunk.
func (r *Recipe) addFrame(place int64) {
	n := 4 + int64(r.chunks[place].Len)
	if last := len(r.parts) - 1; last >= 0 {
		if p := &r.parts[last]; p.kind == partFrames && p.a+p.b == place {
			p.b++
			p.n += n
			r.size += n
			return
		}
	}
	r.add(partFrames, n, place, 1)
}

// tabulate sets the table of r and returns true if the rows and the leaves of the
// last blob follow from the columns.
func (t *decomposer) tabulate(r *Recipe) bool {
	b := t.last
	if b == nil || b.columns == nil || b.leaves < 0 || b.pool < 0 {
		return false
	}
	c := b.columns
	if c.pool = int(b.pool); c.pool > 0 {
		c.first = int(t.pipe.places[b.first])
	}
	for i := range c.pool {
		if int(t.pipe.places[int(b.first)+i]) != c.first+i {
			return false
		}
	}
	for i := range c.keys {
		var total uint64
		for _, ref := range c.refsOf(i) {
			if int64(ref) >= int64(c.pool) {
				return false
			}
			total += uint64(r.chunks[c.first+int(ref)].Len)
		}
		if total != b.totals[i] {
			return false
		}
	}
	if len(c.keys) == 0 {
		c.generation = b.id.Root // there is no row; as Compose sets it
	}
	if !c.unique() {
		return false
	}
	body := t.done[b.leaves].plain
	if len(body) != 4+32*len(c.keys) || int64(binary.BigEndian.Uint32(body)) != int64(len(c.keys)) {
		return false
	}
	c.leaves = make([]merkle.Hash, len(c.many))
	for rank, i := range c.order {
		leaf := merkle.Hash(body[4+32*rank:])
		if at, ok := c.many[int(i)]; ok {
			c.leaves[at] = leaf
		} else if leaf != c.leaf(int(i), r.chunks) {
			return false
		}
	}
	r.table = c
	return true
}
