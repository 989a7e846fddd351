// Package workhash prepares the search for a nonce of a work hash, which is the SHA-256 of 136
// bytes:
//
//	table data hash (32) || previous hash (32) || u64 nonce || plot seed (32) || capsule hash (32)
//
// These are three blocks. The first has no nonce in it, so its state is computed once. Nor has
// the third, so its message schedule is.
package workhash

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"math/bits"
)

// Size is the length of the message in bytes; Nonce is the offset of the nonce.
const (
	Size  = 136
	Nonce = 64
)

// Blocks is what a search needs of the message.
type Blocks struct {
	State  [8]uint32  // after the first block: A to H
	Second [16]uint32 // words of the second block; the first two are the nonce, high word first
	Last   [64]uint32 // message schedule of the last block, with the round constants added
}

// SavedState returns crypto/sha256 after the first block, as its MarshalBinary does.
func SavedState(msg *[Size]byte) []byte {
	h := sha256.New()
	h.Write(msg[:Nonce])
	state, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		panic("workhash: saved state of SHA-256: " + err.Error()) // it never fails
	}
	return state
}

// Prepare returns the blocks of a message. The nonce in it does not matter.
func Prepare(msg *[Size]byte) *Blocks {
	b := new(Blocks)
	const magic = 4 // bytes before the words of the state
	state := SavedState(msg)
	for i := range b.State {
		b.State[i] = binary.BigEndian.Uint32(state[magic+4*i:])
	}
	for i := range b.Second {
		b.Second[i] = binary.BigEndian.Uint32(msg[64+4*i:])
	}
	w := &b.Last
	w[0], w[1] = binary.BigEndian.Uint32(msg[128:]), binary.BigEndian.Uint32(msg[132:])
	w[2] = 1 << 31   // the padding
	w[15] = Size * 8 // the length in bits
	for i := 16; i < 64; i++ {
		x, y := w[i-15], w[i-2]
		s0 := bits.RotateLeft32(x, -7) ^ bits.RotateLeft32(x, -18) ^ x>>3
		s1 := bits.RotateLeft32(y, -17) ^ bits.RotateLeft32(y, -19) ^ y>>10
		w[i] = w[i-16] + s0 + w[i-7] + s1
	}
	for i := range w {
		w[i] += constants[i]
	}
	return b
}

// Mask returns the bits of the first 64 bits of a hash that are zero when it has so many leading
// zero bits, or all of them when it has more.
func Mask(zeros int) uint64 { return ^(^uint64(0) >> min(max(zeros, 0), 64)) }

// constants are the round constants of SHA-256 (FIPS 180-4, 4.2.2).
var constants = [64]uint32{
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
}
