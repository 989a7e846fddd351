package module

import (
	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// Pins are what a holder of a store remembers so that no origin can take it
// back: the key that signs the store, and the highest generation seen. The
// zero value remembers nothing.
type Pins struct {
	Publisher  auth.PublicKey // zero: no key is known yet
	Root       merkle.Hash    // of the highest generation seen
	Generation uint64         // its number
}
