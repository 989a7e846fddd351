package chaintest

import (
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/merkle"
)

// A Condition is one condition in the result of a puzzle.
type Condition struct{ node *clvm.Node }

// Serialized returns the condition with these serialized bytes, which must be valid.
func Serialized(b []byte) Condition { return Condition{parse(b)} }

// CreateCoin makes a coin, with 32-byte memos. A store's own coin is the one with an odd
// amount; its puzzle hash is that of the inner puzzle, and its first memo is the store's id.
func CreateCoin(puzzleHash merkle.Hash, amount uint64, memos ...merkle.Hash) Condition {
	list := make([]*clvm.Node, len(memos))
	for i, m := range memos {
		list[i] = hashNode(m)
	}
	return createCoin(puzzleHash, amount, clvm.List(list...))
}

func createCoin(puzzleHash merkle.Hash, amount uint64, memos *clvm.Node) Condition {
	items := []*clvm.Node{clvm.Int(51), hashNode(puzzleHash), clvm.Uint(amount)}
	if !memos.IsNil() {
		items = append(items, memos)
	}
	return Condition{clvm.List(items...)}
}

// Melt destroys a store.
func Melt() Condition {
	return Condition{clvm.List(clvm.Int(51), hashNode(merkle.Hash{}), clvm.Int(-113))}
}

// UpdateMetadata replaces a store's metadata.
func UpdateMetadata(m chain.Metadata) Condition {
	guard := updater().TreeHash()
	return UpdateMetadataBy(m, guard)
}

// UpdateMetadataBy replaces a store's metadata, and its metadata updater by the program with
// that hash.
func UpdateMetadataBy(m chain.Metadata, guard merkle.Hash) Condition {
	result := clvm.List(clvm.List(metadataNode(m), hashNode(guard)), clvm.Nil())
	return Condition{clvm.List(clvm.Int(-24), updater(), result)}
}

func conditionList(conditions []Condition) *clvm.Node {
	list := make([]*clvm.Node, len(conditions))
	for i, c := range conditions {
		list[i] = c.node
	}
	return clvm.List(list...)
}
