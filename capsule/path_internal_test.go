package capsule

import (
	"errors"
	"testing"

	"github.com/dig-network/digstore/merkle"
)

// A path folds at exactly one place, with exactly its siblings.
func TestFoldPath(t *testing.T) {
	var leaves []merkle.Hash
	for count := uint32(0); count < 40; count++ {
		tree := merkle.NewTree(leaves)
		for index := range count + 3 {
			var path []merkle.Hash
			leaf := merkle.Hash{1}
			if index < count {
				p, err := tree.Prove(int(index))
				if err != nil {
					t.Fatal(err)
				}
				path, leaf = siblings(p), p.Leaf
			}
			root, err := foldPath(leaf, index, count, path)
			if index >= count {
				if !errors.Is(err, ErrPath) {
					t.Errorf("leaf %d of %d: %v, %v", index, count, root, err)
				}
				continue
			}
			if err != nil || root != tree.Root() {
				t.Errorf("leaf %d of %d: %v, %v, want %v", index, count, root, err, tree.Root())
			}
			if len(path) > 0 {
				if _, err := foldPath(leaf, index, count, path[1:]); !errors.Is(err, ErrPath) {
					t.Errorf("leaf %d of %d, a sibling less: %v", index, count, err)
				}
			}
			if _, err := foldPath(leaf, index, count, append(path, merkle.Hash{})); !errors.Is(err,
				ErrPath) {
				t.Errorf("leaf %d of %d, a sibling more: %v", index, count, err)
			}
		}
		leaves = append(leaves, merkle.Leaf([]byte{byte(count)}))
	}
}
