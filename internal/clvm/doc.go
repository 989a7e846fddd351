// Package clvm reads, hashes and runs the programs that coins of the Chia blockchain carry, as far
// as it takes to follow a store on the chain. It checks no signatures and stands on the standard
// library alone.
//
// # Nodes
//
// A program is a [Node]: an atom, which is a string of bytes, or a pair of two nodes. Lists are
// pairs whose right sides follow one another and end in the empty atom, [Nil]. Code and data are
// the same. Nodes never change, so parts are shared and never copied.
//
// An atom may mean an integer: two's complement, big-endian, of any length, where the empty atom is
// 0. The shortest form of an integer is the one that [Int], [Uint] and the operators make.
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
// A back-reference names something that was parsed already. Its path leads into the list of all
// nodes that are parsed and not yet part of a pair, the newest first. A path, here and as a
// variable of a program, is read from the lowest bit of its last byte upwards: 0 is left, 1 is
// right, and the highest bit set is only the end.
//
// # Hashes
//
// [Node.TreeHash] is the identity of a node on the chain:
//
//	atom         SHA-256(01 || bytes)
//	pair         SHA-256(02 || hash of left || hash of right)
//
// [Curry] fills in the first arguments of a program, [Node.Uncurry] takes them out again, and
// [CurryHash] tells the tree hash of a curried program from hashes alone.
//
// # Running
//
// [Run] evaluates a program in an environment. An atom is a path into the environment. A pair is an
// operator and the list of its arguments, which are evaluated first; (q . x) is x itself, and
// (a program env) evaluates again. ((op) arg …) applies op to the arguments as they stand.
// The operators are those with the codes 1 to 14, 16 to 27, 32 to 34, 48 (coinid) and 61 (%).
// Any other is [ErrUnsupportedOp], also where the chain has it.
//
// # Limits
//
// What comes from the chain is written by strangers. [Limits] bound the bytes, nodes, steps, depth
// and memory of everything here; nothing recurses. Steps are counted in units of time, so that
// long arguments cost more than short ones. They are not the chain's cost: a spend that is on the
// chain was within that already.
//
// See auth/chain/LINEAGE.md 3.1 and 4.
package clvm
