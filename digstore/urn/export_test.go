package urn

// Derive is the derivation over any text; the vectors have other chains.
func Derive(canonical string, salt *Salt) [32]byte { return derive([]byte(canonical), salt) }

// FromSecret makes a Key of a given content key.
func FromSecret(secret [32]byte) *Key { return newKey(secret) }
