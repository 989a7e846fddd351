// Package merkle has the hashes, trees and inclusion proofs of the DIG Network.
// It imports the standard library only.
//
// A [Hash] is a SHA-256 digest. A tree combines a list of hashes into one root:
//
//	node(l, r) = SHA-256("digstore:node:v1" || l || r)
//
// Each level pairs neighbours from left to right, and an odd last node moves up
// unchanged. One leaf is its own root; the root of no leaves is the SHA-256 of
// the empty string. The caller orders the leaves: resources of a store by
// ascending keys, chunks and capsules by their indices.
//
// In a store a leaf is the SHA-256 of the sealed bytes of a resource ([Sum]). In
// a plot it is the tagged hash of a chunk ([Leaf]).
//
// [Root] computes a root only. A [Tree] keeps its levels, for many proofs. A
// [Proof] states that a leaf is in the tree with a root. The caller that checks a
// proof computes the leaf from the received bytes, and gets the root from
// another source than the proof.
//
//	err := proof.Check(merkle.Sum(body), trustedRoot)
//
// If the index of the leaf and the number of leaves are known, [Proof.CheckAt]
// also checks the length and the sides of the path.
//
// See digstore/module/FORMAT.md 2.4 and 2.5, and plot/FORMAT.md 1.
package merkle
