package gcmsiv

import (
	"encoding/binary"
	"math/bits"
)

// softHash is POLYVAL (RFC 8452, section 3) with one hash key, in Go that takes
// the same time whatever the key and the data are.
//
// Polynomials over GF(2) are multiplied with ordinary multiplications of
// integers that hold one bit in four: the three bits between take up the carries,
// as long as no column sums more than 15 ones. A 64-bit factor has 16 such
// bits, so the top four bits of the key's words are left out and added by masks.
type softHash struct {
	lo, hi, mid softFactor // key's words, and their sum for Karatsuba
}

// softFactor is one 64-bit factor that has been taken apart.
type softFactor struct {
	holes [4]uint64 // bit i of each nibble, but for the top nibble
	top   [4]uint64 // bits 60 to 63, each spread over a word
}

const nibble = 0x1111111111111111

func (f *softFactor) init(y uint64) {
	for i := range 4 {
		f.holes[i] = y & (nibble >> 4 << i)
		f.top[i] = -(y >> (60 + i) & 1)
	}
}

func (k *softHash) init(_ engine, key *[16]byte) {
	lo, hi := binary.LittleEndian.Uint64(key[:]), binary.LittleEndian.Uint64(key[8:])
	k.lo.init(lo)
	k.hi.init(hi)
	k.mid.init(lo ^ hi)
}

// update hashes data, whose length is a multiple of 16, into sum.
func (k *softHash) update(sum *[16]byte, data []byte) {
	s0, s1 := binary.LittleEndian.Uint64(sum[:]), binary.LittleEndian.Uint64(sum[8:])
	for ; len(data) >= 16; data = data[16:] {
		s0 ^= binary.LittleEndian.Uint64(data)
		s1 ^= binary.LittleEndian.Uint64(data[8:])
		t1, t0 := k.lo.mul(s0)
		t3, t2 := k.hi.mul(s1)
		m1, m0 := k.mid.mul(s0 ^ s1)
		m0 ^= t0 ^ t2
		m1 ^= t1 ^ t3
		t1 ^= m0
		t2 ^= m1
		// Divide by x^128: add the multiples of the field's polynomial
		// x^128 + x^127 + x^126 + x^121 + 1 that clear t0, then t1.
		t1 ^= t0<<63 ^ t0<<62 ^ t0<<57
		t2 ^= t0 ^ t0>>1 ^ t0>>2 ^ t0>>7
		t2 ^= t1<<63 ^ t1<<62 ^ t1<<57
		t3 ^= t1 ^ t1>>1 ^ t1>>2 ^ t1>>7
		s0, s1 = t2, t3
	}
	binary.LittleEndian.PutUint64(sum[:], s0)
	binary.LittleEndian.PutUint64(sum[8:], s1)
}

// mul returns the 128-bit product without carries of x and the factor.
func (f *softFactor) mul(x uint64) (hi, lo uint64) {
	x0, x1, x2, x3 := x&nibble, x&(nibble<<1), x&(nibble<<2), x&(nibble<<3)
	y0, y1, y2, y3 := f.holes[0], f.holes[1], f.holes[2], f.holes[3]

	h0, l0 := bits.Mul64(x0, y0)
	h1, l1 := bits.Mul64(x1, y3)
	h2, l2 := bits.Mul64(x2, y2)
	h3, l3 := bits.Mul64(x3, y1)
	hi = (h0 ^ h1 ^ h2 ^ h3) & nibble
	lo = (l0 ^ l1 ^ l2 ^ l3) & nibble

	h0, l0 = bits.Mul64(x0, y1)
	h1, l1 = bits.Mul64(x1, y0)
	h2, l2 = bits.Mul64(x2, y3)
	h3, l3 = bits.Mul64(x3, y2)
	hi |= (h0 ^ h1 ^ h2 ^ h3) & (nibble << 1)
	lo |= (l0 ^ l1 ^ l2 ^ l3) & (nibble << 1)

	h0, l0 = bits.Mul64(x0, y2)
	h1, l1 = bits.Mul64(x1, y1)
	h2, l2 = bits.Mul64(x2, y0)
	h3, l3 = bits.Mul64(x3, y3)
	hi |= (h0 ^ h1 ^ h2 ^ h3) & (nibble << 2)
	lo |= (l0 ^ l1 ^ l2 ^ l3) & (nibble << 2)

	h0, l0 = bits.Mul64(x0, y3)
	h1, l1 = bits.Mul64(x1, y2)
	h2, l2 = bits.Mul64(x2, y1)
	h3, l3 = bits.Mul64(x3, y0)
	hi |= (h0 ^ h1 ^ h2 ^ h3) & (nibble << 3)
	lo |= (l0 ^ l1 ^ l2 ^ l3) & (nibble << 3)

	t0, t1, t2, t3 := x&f.top[0], x&f.top[1], x&f.top[2], x&f.top[3]
	hi ^= t0>>4 ^ t1>>3 ^ t2>>2 ^ t3>>1
	lo ^= t0<<60 ^ t1<<61 ^ t2<<62 ^ t3<<63
	return hi, lo
}
