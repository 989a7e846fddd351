package gcmsiv

import (
	"encoding/binary"
	"math/bits"
)

// softAES is the AES-256 block cipher in counter mode, in Go that reads no
// table at an address that depends on key or data.
//
// Sixteen blocks are encrypted side by side, taken apart into bits, so that
// the S-box is a circuit of word operations, ShiftRows a rotation of words, and
// MixColumns, but for its doubling, an exchange of words.
type softAES struct {
	round [15]state
}

// lanes is how many blocks a state holds.
const lanes = 16

// A state holds bit b of the bytes in row r in word [r][b]: that of column c of
// block k is bit 16*c + k.
type state [4]row

type row [8]uint64

func (k *softAES) init(_ engine, key *[32]byte) {
	var w [60]uint32 // columns, row 0 in the lowest byte
	for i := range 8 {
		w[i] = binary.LittleEndian.Uint32(key[4*i:])
	}
	for i := 8; i < len(w); i++ {
		t := w[i-1]
		switch i % 8 {
		case 0:
			t = subWord(bits.RotateLeft32(t, -8)) ^ 1<<(i/8-1)
		case 4:
			t = subWord(t)
		}
		w[i] = w[i-8] ^ t
	}
	for r := range k.round {
		c := w[4*r : 4*r+4]
		if r > 0 {
			for i := range c {
				c[i] ^= 0x63636363 // what the S-box leaves out
			}
		}
		k.round[r].broadcast([4]uint32(c))
	}
}

// subWord applies the S-box to four bytes.
func subWord(w uint32) uint32 {
	const low = 0x01010101
	var q row
	for b := range q {
		q[b] = uint64(w >> b & low)
	}
	q.sub()
	w = 0x63636363
	for b := range q {
		w ^= uint32(q[b]) & low << b
	}
	return w
}

// xorKeyStream writes src, added to the key stream that begins at counter, to
// dst, and moves counter on by the blocks that were begun.
func (k *softAES) xorKeyStream(dst, src []byte, counter *[16]byte) {
	n := binary.LittleEndian.Uint32(counter[:])
	var base, s state
	base.broadcast([4]uint32{
		0,
		binary.LittleEndian.Uint32(counter[4:]),
		binary.LittleEndian.Uint32(counter[8:]),
		binary.LittleEndian.Uint32(counter[12:]),
	})
	var stream [16 * lanes]byte
	for len(src) > 0 {
		s = base
		s.count(n)
		k.encrypt(&s)
		if len(src) < len(stream) {
			n += uint32(len(src)+15) / 16
			s.xor(&stream, &stream)
			for i, b := range src {
				dst[i] = b ^ stream[i]
			}
			break
		}
		n += lanes
		s.xor((*[16 * lanes]byte)(dst), (*[16 * lanes]byte)(src))
		dst, src = dst[len(stream):], src[len(stream):]
	}
	binary.LittleEndian.PutUint32(counter[:], n)
}

// encrypt encrypts the blocks of a state.
func (k *softAES) encrypt(s *state) {
	for r := range s {
		for b := range s[r] {
			s[r][b] ^= k.round[0][r][b]
		}
	}
	for i := 1; ; i++ {
		for r := range s {
			s[r].sub()
		}
		if i == 14 {
			break
		}
		s.mix(&k.round[i])
	}
	for r := range s {
		for b := range s[r] {
			s[r][b] = bits.RotateLeft64(s[r][b], -16*r) ^ k.round[14][r][b]
		}
	}
}

// mix is ShiftRows, MixColumns and the adding of a round key.
//
// Each row becomes the double of its sum with the next, plus the three rows that
// follow it. Doubling moves the sums (t, then u of the next bit) up by one bit;
// what leaves at the top, h, comes in at bits 0, 1, 3 and 4.
func (s *state) mix(k *state) {
	a0, a1, a2, a3 := s.shifted(7)
	h0, h1, h2, h3 := a0^a1, a1^a2, a2^a3, a3^a0

	a0, a1, a2, a3 = s.shifted(0)
	t0, t1, t2, t3 := a0^a1, a1^a2, a2^a3, a3^a0
	s[0][0] = h0 ^ a1 ^ t2 ^ k[0][0]
	s[1][0] = h1 ^ a2 ^ t3 ^ k[1][0]
	s[2][0] = h2 ^ a3 ^ t0 ^ k[2][0]
	s[3][0] = h3 ^ a0 ^ t1 ^ k[3][0]

	a0, a1, a2, a3 = s.shifted(1)
	u0, u1, u2, u3 := a0^a1, a1^a2, a2^a3, a3^a0
	s[0][1] = t0 ^ h0 ^ a1 ^ u2 ^ k[0][1]
	s[1][1] = t1 ^ h1 ^ a2 ^ u3 ^ k[1][1]
	s[2][1] = t2 ^ h2 ^ a3 ^ u0 ^ k[2][1]
	s[3][1] = t3 ^ h3 ^ a0 ^ u1 ^ k[3][1]

	a0, a1, a2, a3 = s.shifted(2)
	t0, t1, t2, t3 = a0^a1, a1^a2, a2^a3, a3^a0
	s[0][2] = u0 ^ a1 ^ t2 ^ k[0][2]
	s[1][2] = u1 ^ a2 ^ t3 ^ k[1][2]
	s[2][2] = u2 ^ a3 ^ t0 ^ k[2][2]
	s[3][2] = u3 ^ a0 ^ t1 ^ k[3][2]

	a0, a1, a2, a3 = s.shifted(3)
	u0, u1, u2, u3 = a0^a1, a1^a2, a2^a3, a3^a0
	s[0][3] = t0 ^ h0 ^ a1 ^ u2 ^ k[0][3]
	s[1][3] = t1 ^ h1 ^ a2 ^ u3 ^ k[1][3]
	s[2][3] = t2 ^ h2 ^ a3 ^ u0 ^ k[2][3]
	s[3][3] = t3 ^ h3 ^ a0 ^ u1 ^ k[3][3]

	a0, a1, a2, a3 = s.shifted(4)
	t0, t1, t2, t3 = a0^a1, a1^a2, a2^a3, a3^a0
	s[0][4] = u0 ^ h0 ^ a1 ^ t2 ^ k[0][4]
	s[1][4] = u1 ^ h1 ^ a2 ^ t3 ^ k[1][4]
	s[2][4] = u2 ^ h2 ^ a3 ^ t0 ^ k[2][4]
	s[3][4] = u3 ^ h3 ^ a0 ^ t1 ^ k[3][4]

	a0, a1, a2, a3 = s.shifted(5)
	u0, u1, u2, u3 = a0^a1, a1^a2, a2^a3, a3^a0
	s[0][5] = t0 ^ a1 ^ u2 ^ k[0][5]
	s[1][5] = t1 ^ a2 ^ u3 ^ k[1][5]
	s[2][5] = t2 ^ a3 ^ u0 ^ k[2][5]
	s[3][5] = t3 ^ a0 ^ u1 ^ k[3][5]

	a0, a1, a2, a3 = s.shifted(6)
	t0, t1, t2, t3 = a0^a1, a1^a2, a2^a3, a3^a0
	s[0][6] = u0 ^ a1 ^ t2 ^ k[0][6]
	s[1][6] = u1 ^ a2 ^ t3 ^ k[1][6]
	s[2][6] = u2 ^ a3 ^ t0 ^ k[2][6]
	s[3][6] = u3 ^ a0 ^ t1 ^ k[3][6]

	a0, a1, a2, a3 = s.shifted(7)
	u0, u1, u2, u3 = a0^a1, a1^a2, a2^a3, a3^a0
	s[0][7] = t0 ^ a1 ^ u2 ^ k[0][7]
	s[1][7] = t1 ^ a2 ^ u3 ^ k[1][7]
	s[2][7] = t2 ^ a3 ^ u0 ^ k[2][7]
	s[3][7] = t3 ^ a0 ^ u1 ^ k[3][7]
}

// shifted returns bit b of the four rows after ShiftRows.
func (s *state) shifted(b int) (a0, a1, a2, a3 uint64) {
	return s[0][b],
		bits.RotateLeft64(s[1][b], -16),
		bits.RotateLeft64(s[2][b], -32),
		bits.RotateLeft64(s[3][b], -48)
}

// broadcast fills the state with one block, given by its columns, in every lane.
func (s *state) broadcast(c [4]uint32) {
	even := uint64(c[0]) | uint64(c[2])<<32
	odd := uint64(c[1]) | uint64(c[3])<<32
	for r := range s {
		for b := range s[r] {
			const low = 1<<32 | 1
			s[r][b] = (even>>(8*r+b)&low | odd>>(8*r+b)&low<<16) * (1<<lanes - 1)
		}
	}
}

// count puts the counters n, n+1, … in the first columns, which must be zero: it
// adds lane number and n for all lanes at once, bit after bit.
func (s *state) count(n uint32) {
	number := [32]uint64{0xaaaa, 0xcccc, 0xf0f0, 0xff00} // bits of 0 to 15
	carry := uint64(0)
	for i, x := range number {
		y := -uint64(n>>i&1) & (1<<lanes - 1)
		s[i/8][i%8] |= x ^ y ^ carry
		carry = x&y | carry&(x^y)
	}
}

// xor adds the blocks of the state to src and writes them to dst. It spoils the
// state.
func (s *state) xor(dst, src *[16 * lanes]byte) {
	for r := range s {
		s[r].transpose()
	}
	// Byte 2*c + h of word [r][i] is now row r of column c of block 8*h + i.
	for i := range 8 {
		a, b := exchange(s[0][i], s[2][i], 16, 0x0000ffff0000ffff) // rows 0 and 2
		c, d := exchange(s[1][i], s[3][i], 16, 0x0000ffff0000ffff) // rows 1 and 3
		even0, even1 := exchange(a, c, 8, 0x00ff00ff00ff00ff)
		odd0, odd1 := exchange(b, d, 8, 0x00ff00ff00ff00ff)
		xorBlock(dst[16*i:], src[16*i:], even0, odd0)
		xorBlock(dst[16*i+128:], src[16*i+128:], even1, odd1)
	}
}

// xorBlock adds a block, given by its columns 0 and 2, and 1 and 3, to src and
// writes it to dst.
func xorBlock(dst, src []byte, even, odd uint64) {
	lo, hi := even&(1<<32-1)|odd<<32, even>>32|odd>>32<<32
	binary.LittleEndian.PutUint64(dst, lo^binary.LittleEndian.Uint64(src))
	binary.LittleEndian.PutUint64(dst[8:], hi^binary.LittleEndian.Uint64(src[8:]))
}

// transpose exchanges, in every column of eight bits, word and bit.
func (q *row) transpose() {
	const m1, m2, m4 = 0x5555555555555555, 0x3333333333333333, 0x0f0f0f0f0f0f0f0f
	q0, q1 := exchange(q[0], q[1], 1, m1)
	q2, q3 := exchange(q[2], q[3], 1, m1)
	q4, q5 := exchange(q[4], q[5], 1, m1)
	q6, q7 := exchange(q[6], q[7], 1, m1)
	q0, q2 = exchange(q0, q2, 2, m2)
	q1, q3 = exchange(q1, q3, 2, m2)
	q4, q6 = exchange(q4, q6, 2, m2)
	q5, q7 = exchange(q5, q7, 2, m2)
	q[0], q[4] = exchange(q0, q4, 4, m4)
	q[1], q[5] = exchange(q1, q5, 4, m4)
	q[2], q[6] = exchange(q2, q6, 4, m4)
	q[3], q[7] = exchange(q3, q7, 4, m4)
}

// exchange swaps the bits of a above the mask with those of b at the mask.
func exchange(a, b uint64, n int, mask uint64) (uint64, uint64) {
	t := (a>>n ^ b) & mask
	return a ^ t<<n, b ^ t
}
