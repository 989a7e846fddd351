// Package merkle has the hashes, trees and inclusion proofs of the DIG Network.
// It stands on the standard library alone.
//
// A [Hash] is 32 bytes of SHA-256. A tree folds a list of them into one root:
//
//	node(l, r) = SHA-256("digstore:node:v1" || l || r)
//
// Each level pairs neighbours from left to right, and an odd last node moves up
// unchanged. One leaf is its own root; the root of no leaves is the SHA-256 of
// nothing. The order of leaves is the caller's: resources of a store stand in
// ascending order of their keys, chunks and capsules in order of their indices.
//
// What a leaf is differs. In a store it is the plain SHA-256 of the sealed
// bytes of a resource ([Sum]), in a plot the tagged hash of a chunk ([Leaf]).
//
// [Root] folds without keeping anything. A [Tree] keeps its levels, for many
// proofs. A [Proof] says that a leaf lies below a root. Whoever checks one brings
// leaf and root: the leaf computed from the bytes received, the root from a
// source other than the one that sent the proof.
//
//	err := proof.Check(merkle.Sum(body), trustedRoot)
//
// Where the place of the leaf and the number of leaves are known as well,
// [Proof.CheckAt] also holds the path to its one right shape.
//
// See digstore/module/FORMAT.md 2.4 and 2.5, and plot/FORMAT.md 1.
package merkle
