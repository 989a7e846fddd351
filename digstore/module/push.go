package module

import (
	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// Push is what a push says about the generation that it brings, besides its content.
type Push struct {
	// Head names the store and the root, and has the signatures that came with them.
	Head auth.SignedRoot
	// Parent is the head that the generation follows; zero: none.
	Parent merkle.Hash
	// Pending keeps the generation without making it the head.
	Pending bool
}

// Assembly is a generation that comes as a recipe and chunks.
type Assembly struct {
	// Recipe is that of the generation.
	Recipe *Recipe
	// Base is the root of a generation that the receiver holds and has verified; zero: none.
	Base merkle.Hash
	// Fetch calls put for the chunks that the receiver lacks. i is the place of the chunk in
	// Recipe.Pool. sealed belongs to put only until put returns. An error of put ends Fetch.
	Fetch func(put func(i int, sealed []byte) error) error
}
