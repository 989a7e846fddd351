package merkle

import (
	"crypto/sha256"
	"fmt"
)

// Tags that keep nodes, leaves and other hashed things apart. See digstore/module/FORMAT.md 2.4.
const (
	nodeTag = "digstore:node:v1"
	leafTag = "digstore:leaf:v1"
)

// Leaf returns the tagged leaf of a chunk of a capsule,
// SHA-256("digstore:leaf:v1" || chunk). See plot/FORMAT.md 1. The leaf of a
// resource in a module is another thing: Sum of its sealed bytes.
func Leaf(chunk []byte) Hash {
	s := sha256.New()
	s.Write([]byte(leafTag))
	s.Write(chunk)
	var h Hash
	s.Sum(h[:0])
	return h
}

// Node returns the hash of an inner node, SHA-256("digstore:node:v1" || left || right).
func Node(left, right Hash) Hash {
	const tag = len(nodeTag)
	var b [tag + 2*len(left)]byte
	copy(b[:], nodeTag)
	copy(b[tag:], left[:])
	copy(b[tag+len(left):], right[:])
	return sha256.Sum256(b[:])
}

// Root returns the root over leaves in their order. The root of no leaves is
// Sum(nil), that of one leaf the leaf. It hashes once per node, allocates
// nothing, and changes nothing.
func Root(leaves []Hash) Hash {
	if len(leaves) == 0 {
		return Sum(nil)
	}
	// peaks holds the roots of full subtrees, largest first: one for each bit
	// set in the number of leaves seen. A new leaf carries like a one added to
	// that number. An odd node that moves up joins its left neighbour as soon
	// as there is one, so what remains is folded from the right.
	var peaks [64]Hash
	n := 0
	for i, h := range leaves {
		for bit := i; bit&1 == 1; bit >>= 1 {
			n--
			h = Node(peaks[n], h)
		}
		peaks[n] = h
		n++
	}
	h := peaks[n-1]
	for n -= 2; n >= 0; n-- {
		h = Node(peaks[n], h)
	}
	return h
}

// A Tree keeps all levels over some leaves, so that a proof costs no hashing.
// It never changes and may be used concurrently. It takes 32 bytes for each of
// its nodes, about 64 bytes for each leaf.
type Tree struct {
	levels [][]Hash // the leaves first, the root alone last; one level or more unless empty
}

// NewTree builds the tree over a copy of leaves.
func NewTree(leaves []Hash) *Tree {
	t := new(Tree)
	if len(leaves) == 0 {
		return t
	}
	level := append([]Hash(nil), leaves...)
	t.levels = append(t.levels, level)
	for len(level) > 1 {
		next := make([]Hash, (len(level)+1)/2)
		for i := range next {
			if 2*i+1 < len(level) {
				next[i] = Node(level[2*i], level[2*i+1])
			} else {
				next[i] = level[2*i]
			}
		}
		t.levels = append(t.levels, next)
		level = next
	}
	return t
}

// Len returns the number of leaves.
func (t *Tree) Len() int {
	if len(t.levels) == 0 {
		return 0
	}
	return len(t.levels[0])
}

// Root returns the root, which is that of Root over the same leaves.
func (t *Tree) Root() Hash {
	if len(t.levels) == 0 {
		return Sum(nil)
	}
	return t.levels[len(t.levels)-1][0]
}

// Prove returns the proof of leaf i, counted from 0. An index outside the tree
// is an error.
func (t *Tree) Prove(i int) (Proof, error) {
	if i < 0 || i >= t.Len() {
		return Proof{}, fmt.Errorf("prove leaf %d: the tree has %d leaves", i, t.Len())
	}
	p := Proof{Leaf: t.levels[0][i], Root: t.Root()}
	for _, level := range t.levels {
		switch {
		case i&1 == 1:
			p.Path = append(p.Path, Step{Hash: level[i-1], Left: true})
		case i+1 < len(level):
			p.Path = append(p.Path, Step{Hash: level[i+1]})
		}
		i >>= 1
	}
	return p, nil
}

// Prove returns the proof of leaf i of the tree over leaves. For more than one
// proof a Tree is cheaper.
func Prove(leaves []Hash, i int) (Proof, error) { return NewTree(leaves).Prove(i) }
