package clvm

// Curry returns the program mod with its first arguments bound:
//
//	(a (q . mod) (c (q . arg1) (c (q . arg2) … 1)))
func Curry(mod *Node, args ...*Node) *Node {
	t := atoms()
	q, a, c := &t.one[opQuote], &t.one[opApply], &t.one[opCons]
	rest := &t.one[1] // the whole environment
	for i := len(args) - 1; i >= 0; i-- {
		rest = List(c, Pair(q, args[i]), rest)
	}
	return List(a, Pair(q, mod), rest)
}

// CurryHash returns the tree hash of Curry from the tree hashes of its parts. That of an atom is
// HashAtom.
func CurryHash(mod [32]byte, args ...[32]byte) [32]byte {
	t := atoms()
	q, a, c, end := t.oneHash[opQuote], t.oneHash[opApply], t.oneHash[opCons], t.emptyHash
	rest := t.oneHash[1]
	for i := len(args) - 1; i >= 0; i-- {
		rest = HashPair(c, HashPair(HashPair(q, args[i]), HashPair(rest, end)))
	}
	return HashPair(a, HashPair(HashPair(q, mod), HashPair(rest, end)))
}

// Uncurry is the inverse of Curry. ok is false if the node does not have exactly the form that
// Curry returns. There may be no arguments.
func (n *Node) Uncurry() (mod *Node, args []*Node, ok bool) {
	mod, rest, ok := n.call(opApply)
	for ok && rest.left != nil {
		var arg *Node
		if arg, rest, ok = rest.call(opCons); ok {
			args = append(args, arg)
		}
	}
	if !ok || rest.atom != "\x01" {
		return nil, nil, false
	}
	return mod, args, true
}

// call returns the parts of (op (q . quoted) rest).
func (n *Node) call(op byte) (quoted, rest *Node, ok bool) {
	items, ok := n.Exactly(3)
	if !ok || !items[0].isByte(op) || items[1].left == nil || !items[1].left.isByte(opQuote) {
		return nil, nil, false
	}
	return items[1].right, items[2], true
}

// isByte reports whether the node is the atom of that one byte.
func (n *Node) isByte(b byte) bool { return n.left == nil && len(n.atom) == 1 && n.atom[0] == b }
