package gcmsiv

import "iter"

// Every yields the AEAD of a key on each engine that this machine can run.
func Every(key *[32]byte) iter.Seq2[string, *AEAD] {
	return func(yield func(string, *AEAD) bool) {
		for _, e := range engines() {
			if !yield(e.String(), newAEAD(e, key)) {
				return
			}
		}
	}
}

// Portable returns the AEAD of a key without the processor's instructions.
func Portable(key *[32]byte) *AEAD { return newAEAD(portable, key) }

// NewOn returns the AEAD of a key on the engine of that name.
func NewOn(name string, key *[32]byte) *AEAD {
	for _, e := range engines() {
		if e.String() == name {
			return newAEAD(e, key)
		}
	}
	panic("no engine " + name)
}

// Derived returns the keys of one nonce.
func (a *AEAD) Derived(nonce [12]byte) (auth [16]byte, enc [32]byte) {
	return a.master.derive(nonce)
}
