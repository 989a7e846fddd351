//go:build !purego

package capsule

import "github.com/dig-network/digstore/capsule/internal/workhash"

func newWorkKernel(in WorkInput, bits int) workKernel {
	if !hasSHA {
		return newPortableKernel(in, bits)
	}
	return newSHAKernel(in, bits)
}

// hasSHA reports whether the processor has the SHA extensions, and SSE4.1 and SSSE3, which go
// with them.
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

// shaKernel hashes pairs of nonces with the SHA extensions. The hashes of a pair do not depend
// on each other, so the processor works on both at once; and the message schedule of the last
// block, which has no nonce in it, is computed once for all.
type shaKernel struct {
	args shaArgs
	bits int
	in   WorkInput
}

// shaArgs is what searchPairs reads, in this order. State words are in the order of the
// instructions.
type shaArgs struct {
	abef  [4]uint32  // state after the first block: F E B A
	cdgh  [4]uint32  // H G D C
	block [16]uint32 // words of the second block, the first two of which are the nonce
	last  [64]uint32 // schedule of the last block, with the round constants added
	mask  uint32     // bits of the first word of the hash that must be zero
}

// searchPairs hashes nonce and nonce+1, nonce+2 and nonce+3 and so on, and returns how many
// pairs it went through before one in which a hash has no bit of the mask. It returns pairs when
// there is none.
//
//go:noescape
func searchPairs(args *shaArgs, nonce, pairs uint64) uint64

func newSHAKernel(in WorkInput, zeros int) *shaKernel {
	k := &shaKernel{bits: zeros, in: in}
	msg := in.Message(0)
	b := workhash.Prepare(&msg)
	h := b.State
	k.args.abef = [4]uint32{h[5], h[4], h[1], h[0]}
	k.args.cdgh = [4]uint32{h[7], h[6], h[3], h[2]}
	k.args.block = b.Second
	k.args.last = b.Last
	k.args.mask = uint32(workhash.Mask(zeros) >> 32)
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
