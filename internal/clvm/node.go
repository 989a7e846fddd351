package clvm

import (
	"encoding/hex"
	"iter"
	"sync/atomic"
)

// A Node is an atom, which is a string of bytes, or a pair of two Nodes. It never changes, so it is
// safe for concurrent use, and trees may share it. The zero Node is the empty atom.
type Node struct {
	left, right *Node  // both nil in an atom
	atom        string // empty in a pair
	hash        atomic.Pointer[[32]byte]
}

// longAtom is the length from which on the hash of an atom is kept. Hashing a shorter atom again
// takes no longer than hashing a pair.
const longAtom = 64

// Nil returns the empty atom, which is 0, false, and the end of a list.
func Nil() *Node { return atoms().node("") }

// Atom returns the atom of those bytes, which it copies.
func Atom(b []byte) *Node { return atoms().node(string(b)) }

// Text returns the atom of the bytes of s.
func Text(s string) *Node { return atoms().node(s) }

// Int returns the atom of v: the shortest two's complement, big-endian.
func Int(v int64) *Node { return Atom(AppendInt(nil, v)) }

// Uint returns the atom of v, as Int does.
func Uint(v uint64) *Node { return Atom(AppendUint(nil, v)) }

// Pair returns the pair of two nodes, neither of which may be a nil pointer.
func Pair(left, right *Node) *Node {
	if left == nil || right == nil {
		panic("clvm: a pair of a nil pointer")
	}
	return &Node{left: left, right: right}
}

// List returns the list of items, which ends in Nil.
func List(items ...*Node) *Node {
	list := Nil()
	for i := len(items) - 1; i >= 0; i-- {
		list = Pair(items[i], list)
	}
	return list
}

// IsPair reports whether the node is a pair.
func (n *Node) IsPair() bool { return n.left != nil }

// IsNil reports whether the node is the empty atom.
func (n *Node) IsNil() bool { return n.left == nil && n.atom == "" }

// Pair returns the two sides of a pair. In an atom ok is false and both sides are nil pointers.
func (n *Node) Pair() (left, right *Node, ok bool) { return n.left, n.right, n.left != nil }

// Atom returns the bytes of an atom. In a pair ok is false.
func (n *Node) Atom() (bytes string, ok bool) { return n.atom, n.left == nil }

// Bytes32 returns the bytes of an atom of exactly 32 bytes.
func (n *Node) Bytes32() (b [32]byte, ok bool) {
	if n.left != nil || len(n.atom) != len(b) {
		return b, false
	}
	copy(b[:], n.atom)
	return b, true
}

// Int64 returns the integer of an atom, if it fits. Redundant leading bytes are allowed.
func (n *Node) Int64() (v int64, ok bool) {
	s := significant(n.atom)
	if n.left != nil || len(s) > 8 {
		return 0, false
	}
	if s != "" && s[0] >= 0x80 {
		v = -1
	}
	for i := range len(s) {
		v = v<<8 | int64(s[i])
	}
	return v, true
}

// Uint64 returns the integer of an atom, if it is neither negative nor too large. Redundant leading
// zeros are allowed.
func (n *Node) Uint64() (v uint64, ok bool) {
	s := significant(n.atom)
	if n.left != nil || s != "" && s[0] >= 0x80 || len(s) > 9 || len(s) == 9 && s[0] != 0 {
		return 0, false
	}
	for i := range len(s) {
		v = v<<8 | uint64(s[i])
	}
	return v, true
}

// Items returns the items of a list up to its end, which may be any atom. An atom has no items.
func (n *Node) Items() iter.Seq[*Node] {
	return func(yield func(*Node) bool) {
		for ; n.left != nil; n = n.right {
			if !yield(n.left) {
				return
			}
		}
	}
}

// Take returns the first k items of a list and the rest. ok is false if there are fewer.
func (n *Node) Take(k int) (items []*Node, rest *Node, ok bool) {
	items = make([]*Node, 0, min(k, 8))
	for len(items) < k {
		if n.left == nil {
			return nil, n, false
		}
		items, n = append(items, n.left), n.right
	}
	return items, n, true
}

// Exactly returns the items of a list of k items that ends in Nil.
func (n *Node) Exactly(k int) (items []*Node, ok bool) {
	items, rest, ok := n.Take(k)
	return items, ok && rest.IsNil()
}

// String returns the beginning of the serialised node in hexadecimal digits, for messages.
func (n *Node) String() string {
	const most = 40
	w := writer{limit: most}
	if err := w.write(n); err != nil {
		return hex.EncodeToString(w.dst) + "…"
	}
	return hex.EncodeToString(w.dst)
}
