package gcmsiv

import (
	"encoding/binary"
	"math/bits"
)

// softAES is the AES-256 block cipher in counter mode, in Go that reads no
// table at an address that depends on key or data.
//
// Four blocks are encrypted side by side. Word b of the state holds bit b of
// their 64 bytes, at the place 16*row + 4*column + block, so that the S-box is a
// circuit of word operations. ShiftRows moves nothing: the rows stay
// where they are, the columns drift by one more place per row in every round,
// and MixColumns and the round keys follow the drift ("fixslicing", Adomnicai and
// Peyrin, 2020).
type softAES struct {
	round [15]state
}

type state [8]uint64

// The masks of places within the 16 bits of a row.
const (
	low4  = 0x000f000f000f000f
	low8  = 0x00ff00ff00ff00ff
	low12 = 0x0fff0fff0fff0fff
)

func (k *softAES) init(_ engine, key *[32]byte) {
	var w [60][4]byte
	for i := range 8 {
		w[i] = [4]byte(key[4*i:])
	}
	rcon := byte(1)
	for i := 8; i < len(w); i++ {
		t := w[i-1]
		switch i % 8 {
		case 0:
			t = subWord([4]byte{t[1], t[2], t[3], t[0]})
			t[0] ^= rcon
			rcon <<= 1
		case 4:
			t = subWord(t)
		}
		for j := range t {
			w[i][j] = w[i-8][j] ^ t[j]
		}
	}
	for r := range k.round {
		var b [16]byte
		for c := range 4 {
			for row := range 4 {
				b[4*((c+r*row)%4)+row] = w[4*r+c][row]
			}
		}
		if r > 0 {
			for i := range b {
				b[i] ^= 0x63 // what the S-box leaves out
			}
		}
		q := &k.round[r]
		for i := range 4 {
			q.load(i, binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:]))
		}
		q.transpose()
	}
}

// subWord applies the S-box to four bytes.
func subWord(w [4]byte) [4]byte {
	var q state
	for i, x := range w {
		for b := range q {
			q[b] |= uint64(x>>b&1) << i
		}
	}
	q.sub()
	for i := range w {
		w[i] = 0x63
		for b := range q {
			w[i] ^= byte(q[b]>>i&1) << b
		}
	}
	return w
}

// xorKeyStream writes src, added to the key stream that begins at counter, to
// dst, and moves counter on by the blocks that were begun.
func (k *softAES) xorKeyStream(dst, src []byte, counter *[16]byte) {
	n := binary.LittleEndian.Uint32(counter[:])
	first := binary.LittleEndian.Uint64(counter[:]) &^ (1<<32 - 1)
	second := binary.LittleEndian.Uint64(counter[8:])
	var q state
	for len(src) > 0 {
		for i := range 4 {
			q.load(i, first|uint64(n+uint32(i)), second)
		}
		k.encrypt(&q)
		if len(src) < 64 {
			n += uint32(len(src)+15) / 16
			var stream [64]byte
			for i := range 4 {
				lo, hi := q.store(i)
				binary.LittleEndian.PutUint64(stream[16*i:], lo)
				binary.LittleEndian.PutUint64(stream[16*i+8:], hi)
			}
			for i := range src {
				dst[i] = src[i] ^ stream[i]
			}
			break
		}
		n += 4
		d, s := dst[:64], src[:64]
		for i := range 4 {
			lo, hi := q.store(i)
			binary.LittleEndian.PutUint64(d[16*i:], lo^binary.LittleEndian.Uint64(s[16*i:]))
			binary.LittleEndian.PutUint64(d[16*i+8:], hi^binary.LittleEndian.Uint64(s[16*i+8:]))
		}
		dst, src = dst[64:], src[64:]
	}
	binary.LittleEndian.PutUint32(counter[:], n)
}

// encrypt encrypts the four blocks loaded in q.
func (k *softAES) encrypt(q *state) {
	q.transpose()
	q.add(&k.round[0])
	for r := 1; ; r += 4 {
		q.sub()
		q.mix1(&k.round[r])
		q.sub()
		if r == 13 {
			break
		}
		q.mix2(&k.round[r+1])
		q.sub()
		q.mix3(&k.round[r+2])
		q.sub()
		q.mix0(&k.round[r+3])
	}
	q.add(&k.round[14])
	q.transpose()
	// 14 rounds of drift have put rows 1 and 3 two columns off.
	for i, w := range q {
		q[i] = swap(w, 8, 0x00ff000000ff0000)
	}
}

// load puts a block, given as two little-endian words, in place i of q, which
// transpose then turns into a state.
func (q *state) load(i int, lo, hi uint64) {
	q[i] = interleave(lo&(1<<32-1) | hi<<32)
	q[i+4] = interleave(lo>>32 | hi>>32<<32)
}

// store is the reverse of load.
func (q *state) store(i int) (lo, hi uint64) {
	even, odd := separate(q[i]), separate(q[i+4])
	return even&(1<<32-1) | odd<<32, even>>32 | odd>>32<<32
}

// interleave takes the bytes of a word from the order 0, …, 7 to 0, 4, 1, 5, 2, 6, 3, 7.
func interleave(w uint64) uint64 {
	return swap(swap(w, 16, 0x00000000ffff0000), 8, 0x0000ff000000ff00)
}

// separate is the reverse of interleave.
func separate(w uint64) uint64 {
	return swap(swap(w, 8, 0x0000ff000000ff00), 16, 0x00000000ffff0000)
}

// swap exchanges the bits of w at mask with those n places above.
func swap(w uint64, n int, mask uint64) uint64 {
	t := (w ^ w>>n) & mask
	return w ^ t ^ t<<n
}

// transpose exchanges, in every column of eight bits, word and bit.
func (q *state) transpose() {
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

// add adds a round key.
func (q *state) add(k *state) {
	for i := range q {
		q[i] ^= k[i]
	}
}

// next0 to next3 move every byte to where the byte below it in its column was,
// when the drift of the columns is 0 to 3 per row; two0 and two1 move them by
// two, when the drift is even or odd.
func next0(w uint64) uint64 { return bits.RotateLeft64(w, -16) }
func next1(w uint64) uint64 {
	return bits.RotateLeft64(w, -20)&low12 | bits.RotateLeft64(w, -4)&^low12
}
func next2(w uint64) uint64 {
	return bits.RotateLeft64(w, -24)&low8 | bits.RotateLeft64(w, -8)&^low8
}
func next3(w uint64) uint64 {
	return bits.RotateLeft64(w, -28)&low4 | bits.RotateLeft64(w, -12)&^low4
}
func two0(w uint64) uint64 { return bits.RotateLeft64(w, 32) }
func two1(w uint64) uint64 {
	return bits.RotateLeft64(w, 24)&low8 | bits.RotateLeft64(w, 40)&^low8
}

// mix0 is MixColumns and the adding of a round key where the drift is 0 per row.
func (q *state) mix0(k *state) {
	n0, n1, n2, n3 := next0(q[0]), next0(q[1]), next0(q[2]), next0(q[3])
	n4, n5, n6, n7 := next0(q[4]), next0(q[5]), next0(q[6]), next0(q[7])
	t0, t1, t2, t3 := q[0]^n0, q[1]^n1, q[2]^n2, q[3]^n3
	t4, t5, t6, t7 := q[4]^n4, q[5]^n5, q[6]^n6, q[7]^n7
	q[0] = k[0] ^ n0 ^ two0(t0) ^ t7
	q[1] = k[1] ^ n1 ^ two0(t1) ^ t0 ^ t7
	q[2] = k[2] ^ n2 ^ two0(t2) ^ t1
	q[3] = k[3] ^ n3 ^ two0(t3) ^ t2 ^ t7
	q[4] = k[4] ^ n4 ^ two0(t4) ^ t3 ^ t7
	q[5] = k[5] ^ n5 ^ two0(t5) ^ t4
	q[6] = k[6] ^ n6 ^ two0(t6) ^ t5
	q[7] = k[7] ^ n7 ^ two0(t7) ^ t6
}

// mix1 is MixColumns and the adding of a round key where the drift is 1 per row.
func (q *state) mix1(k *state) {
	n0, n1, n2, n3 := next1(q[0]), next1(q[1]), next1(q[2]), next1(q[3])
	n4, n5, n6, n7 := next1(q[4]), next1(q[5]), next1(q[6]), next1(q[7])
	t0, t1, t2, t3 := q[0]^n0, q[1]^n1, q[2]^n2, q[3]^n3
	t4, t5, t6, t7 := q[4]^n4, q[5]^n5, q[6]^n6, q[7]^n7
	q[0] = k[0] ^ n0 ^ two1(t0) ^ t7
	q[1] = k[1] ^ n1 ^ two1(t1) ^ t0 ^ t7
	q[2] = k[2] ^ n2 ^ two1(t2) ^ t1
	q[3] = k[3] ^ n3 ^ two1(t3) ^ t2 ^ t7
	q[4] = k[4] ^ n4 ^ two1(t4) ^ t3 ^ t7
	q[5] = k[5] ^ n5 ^ two1(t5) ^ t4
	q[6] = k[6] ^ n6 ^ two1(t6) ^ t5
	q[7] = k[7] ^ n7 ^ two1(t7) ^ t6
}

// mix2 is MixColumns and the adding of a round key where the drift is 2 per row.
func (q *state) mix2(k *state) {
	n0, n1, n2, n3 := next2(q[0]), next2(q[1]), next2(q[2]), next2(q[3])
	n4, n5, n6, n7 := next2(q[4]), next2(q[5]), next2(q[6]), next2(q[7])
	t0, t1, t2, t3 := q[0]^n0, q[1]^n1, q[2]^n2, q[3]^n3
	t4, t5, t6, t7 := q[4]^n4, q[5]^n5, q[6]^n6, q[7]^n7
	q[0] = k[0] ^ n0 ^ two0(t0) ^ t7
	q[1] = k[1] ^ n1 ^ two0(t1) ^ t0 ^ t7
	q[2] = k[2] ^ n2 ^ two0(t2) ^ t1
	q[3] = k[3] ^ n3 ^ two0(t3) ^ t2 ^ t7
	q[4] = k[4] ^ n4 ^ two0(t4) ^ t3 ^ t7
	q[5] = k[5] ^ n5 ^ two0(t5) ^ t4
	q[6] = k[6] ^ n6 ^ two0(t6) ^ t5
	q[7] = k[7] ^ n7 ^ two0(t7) ^ t6
}

// mix3 is MixColumns and the adding of a round key where the drift is 3 per row.
func (q *state) mix3(k *state) {
	n0, n1, n2, n3 := next3(q[0]), next3(q[1]), next3(q[2]), next3(q[3])
	n4, n5, n6, n7 := next3(q[4]), next3(q[5]), next3(q[6]), next3(q[7])
	t0, t1, t2, t3 := q[0]^n0, q[1]^n1, q[2]^n2, q[3]^n3
	t4, t5, t6, t7 := q[4]^n4, q[5]^n5, q[6]^n6, q[7]^n7
	q[0] = k[0] ^ n0 ^ two1(t0) ^ t7
	q[1] = k[1] ^ n1 ^ two1(t1) ^ t0 ^ t7
	q[2] = k[2] ^ n2 ^ two1(t2) ^ t1
	q[3] = k[3] ^ n3 ^ two1(t3) ^ t2 ^ t7
	q[4] = k[4] ^ n4 ^ two1(t4) ^ t3 ^ t7
	q[5] = k[5] ^ n5 ^ two1(t5) ^ t4
	q[6] = k[6] ^ n6 ^ two1(t6) ^ t5
	q[7] = k[7] ^ n7 ^ two1(t7) ^ t6
}
