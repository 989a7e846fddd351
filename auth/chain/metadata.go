package chain

import "github.com/dig-network/digstore/merkle"

// Metadata is what a store coin carries: the root, and what its writer says about it. Absent items are nil.
// Spec: chain §3.
type Metadata struct {
	Root        merkle.Hash
	Label       *string
	Description *string
	Bytes       *uint64
	SizeProof   *string
	Program     *merkle.Hash // hash of a program, in newer stores
	SizeBucket  *uint64      // the size is at most 2^SizeBucket MiB, in newer stores
	// Dropped are keys whose items were not of their form and were passed over, and "?" for an item
	// that was no pair.
	Dropped []string
}
