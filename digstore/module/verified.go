package module

import (
	"slices"

	"github.com/dig-network/digstore/merkle"
)

// WithVerified returns the recipe with what is known about its chunks, for a module that was put together of chunks and
// not taken apart: Verify of its Module then does not read a resource that base, which has been verified, has with
// the same leaf and the same chunks; nor one of a single chunk that came, which says that the caller has hashed
// the chunk to its id. Everything else is read and hashed. base and came may be nil. r is not changed.
func (r *Recipe) WithVerified(base *Recipe, came func(Chunk) bool) *Recipe {
	c := &Recipe{chunks: r.chunks, ends: r.ends, parts: r.parts, size: r.size, plain: r.plain, fill: r.fill, table: r.table, head: r.head}
	if c.table == nil {
		return c // it is read as any file is
	}
	known := base.byLeaf()
	c.table.sort()
	c.hashed = make(map[int]merkle.Hash)
	for i := range c.table.keys {
		chunks, leaf := c.table.chunksOf(i, c.chunks), c.table.leaf(i, c.chunks)
		if slices.ContainsFunc(known[leaf], func(j int) bool { return slices.Equal(chunks, base.table.chunksOf(j, base.chunks)) }) {
			c.hashed[i] = leaf
		} else if len(chunks) == 1 && came != nil && came(chunks[0]) {
			c.hashed[i] = chunks[0].ID
		}
	}
	return c
}

// byLeaf returns the resources of each leaf; none for a nil recipe, or one of a module that is not laid out as ours are.
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
