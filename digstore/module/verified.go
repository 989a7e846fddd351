package module

import (
	"slices"

	"github.com/dig-network/digstore/merkle"
)

// WithVerified returns a copy of r for which Verify of its Module skips resources that are known to
// be good: those that base has with the same leaf and the same chunks, and those of a single chunk
// for which came returns true. The caller has verified base, and has hashed those chunks to their
// ids. Everything else is read and hashed. base and came may be nil.
func (r *Recipe) WithVerified(base *Recipe, came func(Chunk) bool) *Recipe {
	c := &Recipe{chunks: r.chunks, ends: r.ends, parts: r.parts, size: r.size, plain: r.plain,
		fill: r.fill, table: r.table, head: r.head}
	if c.table == nil {
		return c // everything is read
	}
	known := base.byLeaf()
	c.table.sort()
	c.hashed = make(map[int]merkle.Hash)
	for i := range c.table.keys {
		chunks, leaf := c.table.chunksOf(i, c.chunks), c.table.leaf(i, c.chunks)
		equal := func(j int) bool {
			return slices.Equal(chunks, base.table.chunksOf(j, base.chunks))
		}
		if slices.ContainsFunc(known[leaf], equal) {
			c.hashed[i] = leaf
		} else if len(chunks) == 1 && came != nil && came(chunks[0]) {
			c.hashed[i] = chunks[0].ID
		}
	}
	return c
}

// byLeaf returns the resources by their leaves; nil for a nil recipe and for one without a table.
func (r *Recipe) byLeaf() map[merkle.Hash][]int {
	if r == nil || r.table == nil {
		return nil
	}
	r.table.sort()
	known := make(map[merkle.Hash][]int, r.table.len())
	for i := range r.table.keys {
		leaf := r.table.leaf(i, r.chunks)
		known[leaf] = append(known[leaf], i)
	}
	return known
}
