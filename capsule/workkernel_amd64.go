//go:build !purego

package capsule

import (
	"encoding/binary"
	"math/bits"
)

func newWorkKernel(in WorkInput, bits int) workKernel {
	if !hasSHA {
		return newPortableKernel(in, bits)
	}
	return newSHAKernel(in, bits)
}

// hasSHA reports whether the processor has the SHA extensions, and SSE4.1 and SSSE3, which go with them.
var hasSHA = func() bool {
	const ssse3, sse41, sha = 1 << 9, 1 << 19, 1 << 29
	if max, _, _, _ := cpuid(0, 0); max < 7 {
		return false
	}
	_, _, c, _ := cpuid(1, 0)
	_, b, _, _ := cpuid(7, 0)
	return c&ssse3 != 0 && c&sse41 != 0 && b&sha != 0
}()

//go:noescape
func cpuid(leaf, sub uint32) (a, b, c, d uint32)

// shaKernel hashes pairs of nonces with the SHA extensions. The hashes of a pair do not depend on each other, so
// the processor works on both at once; and the message schedule of the last block, which has no nonce in it, is
// computed once for all.
type shaKernel struct {
	args shaArgs
	bits int
	in   WorkInput
}

// shaArgs is what searchPairs reads, in this order. State words are in the order of the instructions.
type shaArgs struct {
	abef  [4]uint32  // state after the first block: F E B A
	cdgh  [4]uint32  // H G D C
	block [16]uint32 // words of the second block, the first two of which are the nonce
	last  [64]uint32 // schedule of the last block, with the round constants added
	mask  uint32     // bits of the first word of the hash that must be zero
}

// searchPairs hashes nonce and nonce+1, nonce+2 and nonce+3 and so on, and returns how many pairs it went
// through before one in which a hash has no bit of the mask. It returns pairs when there is none.
//
//go:noescape
func searchPairs(args *shaArgs, nonce, pairs uint64) uint64

func newSHAKernel(in WorkInput, zeros int) *shaKernel {
	k := &shaKernel{bits: zeros, in: in}
	const magic = 4 // bytes before the state words
	state := in.savedState()
	var h [8]uint32
	for i := range h {
		h[i] = binary.BigEndian.Uint32(state[magic+4*i:])
	}
	k.args.abef = [4]uint32{h[5], h[4], h[1], h[0]}
	k.args.cdgh = [4]uint32{h[7], h[6], h[3], h[2]}
	msg := in.message(0)
	for i := range k.args.block {
		k.args.block[i] = binary.BigEndian.Uint32(msg[64+4*i:])
	}
	var w [64]uint32
	w[0], w[1] = binary.BigEndian.Uint32(msg[128:]), binary.BigEndian.Uint32(msg[132:])
	w[2] = 1 << 31       // the padding
	w[15] = workSize * 8 // the length in bits
	for i := 16; i < 64; i++ {
		a, b := w[i-15], w[i-2]
		s0 := bits.RotateLeft32(a, -7) ^ bits.RotateLeft32(a, -18) ^ a>>3
		s1 := bits.RotateLeft32(b, -17) ^ bits.RotateLeft32(b, -19) ^ b>>10
		w[i] = w[i-16] + s0 + w[i-7] + s1
	}
	for i := range w {
		k.args.last[i] = w[i] + roundConstants[i]
	}
	k.args.mask = ^(uint32(0xffffffff) >> min(zeros, 32))
	if zeros >= 32 {
		k.args.mask = 0xffffffff
	}
	return k
}

func (k *shaKernel) search(from, count uint64) (uint64, bool) {
	for at := from; at-from < count; {
		left := count - (at - from)
		pairs := (left + 1) / 2
		n := searchPairs(&k.args, at, pairs)
		if n == pairs {
			return 0, false
		}
		at += 2 * n
		for range 2 { // either nonce of the pair, or neither when more than 32 bits are asked for
			if at-from < count && ZeroBits(k.in.Hash(at)) >= k.bits {
				return at, true
			}
			at++
		}
	}
	return 0, false
}

// roundConstants are those of SHA-256 (FIPS 180-4, 4.2.2). The assembly has them too.
var roundConstants = [64]uint32{
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
}
