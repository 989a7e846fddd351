// Package clvm parses, hashes and runs programs of coins of the Chia blockchain. It has what is
// needed to follow a store on the chain. It checks no signatures and imports the standard library
// only.
//
// # Nodes
//
// A program is a [Node]: an atom, which is a string of bytes, or a pair of two nodes. A list is a
// chain of pairs, linked by their right sides, that ends in the empty atom, [Nil]. Code and data
// have the same form. Nodes never change, so parts are shared.
//
// An atom can be read as an integer in two's complement, big-endian, of any length; the empty atom
// is 0. [Int], [Uint] and the operators return the shortest form.
//
// # The serialised form
//
// [Parse] reads and [Append] writes:
//
//	00 … 7f    the atom of that one byte
//	80         the empty atom
//	81 … fb    the head of an atom: the leading one bits tell how many bytes hold the length,
//	           the bits after them and the bytes that follow are the length; then the atom
//	fe         a back-reference (read only): an atom follows, a path
//	ff         a pair: its left side follows, then its right one
//
// A back-reference refers to a node that was parsed before. Its path starts at the list of all
// nodes that are parsed and not yet part of a pair, the newest first. A path, here and as a
// variable of a program, is read from the lowest bit of its last byte upwards: 0 is left, 1 is
// right, and the highest bit that is set marks the end.
//
// # Hashes
//
// [Node.TreeHash] identifies a node on the chain:
//
//	atom         SHA-256(01 || bytes)
//	pair         SHA-256(02 || hash of left || hash of right)
//
// [Curry] binds the first arguments of a program, [Node.Uncurry] returns them, and [CurryHash]
// computes the tree hash of a curried program from the hashes of its parts.
//
// # Running
//
// [Run] evaluates a program in an environment. An atom is a path into the environment. A pair is an
// operator and the list of its arguments, which are evaluated first; (q . x) is x itself, and
// (a program env) evaluates program. ((op) arg …) applies op to the arguments without evaluating
// them.
// The operators are those with the codes 1 to 14, 16 to 27, 32 to 34, 48 (coinid) and 61 (%).
// Others are [ErrUnsupportedOp], even if the chain has them.
//
// # Limits
//
// Programs are untrusted. [Limits] bound bytes, nodes, steps, depth and memory. No function is
// recursive. Steps are units of time, so long arguments cost more than short ones. They differ from
// the cost that the chain computes: a spend on the chain has passed that limit.
//
// See auth/chain/LINEAGE.md 3.1 and 4.
package clvm
