package clvm

import "crypto/sha256"

// HashAtom returns the tree hash of an atom: SHA-256(01 || b).
func HashAtom(b []byte) [32]byte {
	if len(b) <= longAtom {
		var buf [1 + longAtom]byte
		buf[0] = 1
		return sha256.Sum256(buf[:1+copy(buf[1:], b)])
	}
	h := sha256.New()
	h.Write([]byte{1})
	h.Write(b)
	return [32]byte(h.Sum(nil))
}

// HashPair returns the tree hash of a pair, from those of its sides: SHA-256(02 || left || right).
func HashPair(left, right [32]byte) [32]byte {
	var buf [65]byte
	buf[0] = 2
	copy(buf[1:], left[:])
	copy(buf[33:], right[:])
	return sha256.Sum256(buf[:])
}

// TreeHash returns the hash that identifies the node on the chain; for a program it is the puzzle
// hash. Every pair is hashed once, however often it occurs in the tree, and its hash is kept. The
// depth of the tree is not limited.
func (n *Node) TreeHash() [32]byte {
	h := hasher{atoms: atoms()}
	if n.left == nil {
		var sum [32]byte
		h.atom(&sum, n)
		return sum
	}
	return *h.pair(n)
}

// A hasher is one walk over a tree.
type hasher struct {
	atoms *atomTable
	slab  [][32]byte // room for hashes that are kept
	todo  []*Node    // pairs whose sides are not hashed yet, the lowest last
}

// pair returns the hash of a pair.
func (h *hasher) pair(root *Node) *[32]byte {
	var buf [65]byte
	buf[0] = 2
	h.todo = append(h.todo[:0], root)
	for len(h.todo) > 0 {
		n := h.todo[len(h.todo)-1]
		if n.hash.Load() == nil {
			// Both sides have to be hashed first.
			left, right := n.left.unhashed(), n.right.unhashed()
			if left {
				h.todo = append(h.todo, n.left)
			}
			if right {
				h.todo = append(h.todo, n.right)
			}
			if left || right {
				continue
			}
			h.side((*[32]byte)(buf[1:]), n.left)
			h.side((*[32]byte)(buf[33:]), n.right)
			h.keep(n, sha256.Sum256(buf[:]))
		}
		h.todo = h.todo[:len(h.todo)-1]
	}
	return root.hash.Load()
}

// unhashed reports whether the node is a pair that has no hash yet.
func (n *Node) unhashed() bool { return n.left != nil && n.hash.Load() == nil }

// side copies the hash of a side of a pair to dst. A side that is a pair has been hashed.
func (h *hasher) side(dst *[32]byte, n *Node) {
	if n.left != nil {
		*dst = *n.hash.Load()
		return
	}
	h.atom(dst, n)
}

// atom copies the hash of an atom to dst.
func (h *hasher) atom(dst *[32]byte, n *Node) {
	switch {
	case len(n.atom) == 0:
		*dst = h.atoms.emptyHash
	case len(n.atom) == 1:
		*dst = h.atoms.oneHash[n.atom[0]]
	case len(n.atom) < longAtom:
		var buf [1 + longAtom]byte
		buf[0] = 1
		*dst = sha256.Sum256(buf[:1+copy(buf[1:], n.atom)])
	default:
		sum := n.hash.Load()
		if sum == nil {
			sum = h.keep(n, HashAtom([]byte(n.atom)))
		}
		*dst = *sum
	}
}

// keep stores the hash of a node.
func (h *hasher) keep(n *Node, sum [32]byte) *[32]byte {
	if len(h.slab) == cap(h.slab) {
		h.slab = make([][32]byte, 0, min(max(4, 2*cap(h.slab)), 128))
	}
	h.slab = append(h.slab, sum)
	p := &h.slab[len(h.slab)-1]
	n.hash.Store(p)
	return p
}
