package module

import (
	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// Pins are what a copy of a store remembers across sessions, so that an origin
// can neither replace the publisher key nor present an older head. The zero
// value has no pins.
type Pins struct {
	Publisher  auth.PublicKey // zero: unknown
	Root       merkle.Hash    // of the highest generation seen
	Generation uint64         // its number
}
