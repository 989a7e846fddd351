package wire_test

import (
	"fmt"
	"log"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// Pack a recipe against that of another generation, and unpack it with the same base.
func ExamplePackRecipe() {
	compose := func(chunk byte) *module.Recipe {
		var entries []module.Entry
		for i := range byte(100) {
			c := module.Chunk{ID: merkle.Sum([]byte{i}), Len: 1000}
			if i == 7 {
				c.ID = merkle.Sum([]byte{i, chunk})
			}
			entries = append(entries, module.Entry{Key: merkle.Hash{i}, Chunks: []module.Chunk{c}})
		}
		r, err := module.Compose(auth.StoreID{1}, auth.PublicKey{2}, entries, nil)
		if err != nil {
			log.Fatal(err)
		}
		return r
	}
	before, after := compose(1), compose(2)
	packed, err := wire.PackRecipe(after, before)
	if err != nil {
		log.Fatal(err)
	}
	got, err := wire.UnpackRecipe(packed, func(merkle.Hash) (*module.Recipe, error) {
		return before, nil
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(got.Root() == after.Root(), "in less than 250 bytes:", len(packed) < 250)
	// Output: true in less than 250 bytes: true
}
