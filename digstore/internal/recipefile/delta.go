package recipefile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/bits"
)

// deltaBlock is the length in bytes of the shortest copy. The base has one index entry for each
// block of this length.
//
// Recipes are columns of hashes. Hashes do not compress, and a commit changes few of them. One pass
// finds the unchanged ones, even if they moved.
const deltaBlock = 16

var errDelta = errors.New("the difference from the base does not decode")

// deltaHash hashes the first deltaBlock bytes of b.
func deltaHash(b []byte, shift int) uint32 {
	const m = 0x9e3779b97f4a7c15
	h := binary.LittleEndian.Uint64(b)*m ^ bits.RotateLeft64(binary.LittleEndian.Uint64(b[8:])*m, 29)
	return uint32(h * m >> shift)
}

// appendDelta appends the delta that turns base into target.
func appendDelta(dst, base, target []byte) []byte {
	size := bits.Len(uint(2 * len(base) / deltaBlock))
	shift := 64 - size
	table := make([]uint32, 1<<size) // offset in base, plus one
	for i := 0; i+deltaBlock <= len(base); i += deltaBlock {
		table[deltaHash(base[i:], shift)] = uint32(i + 1)
	}
	// same reports whether the block at b of the base equals the block at t of the target.
	same := func(b, t int) bool {
		return b >= 0 && b+deltaBlock <= len(base) &&
			bytes.Equal(base[b:b+deltaBlock], target[t:t+deltaBlock])
	}
	from, last := 0, 0 // target[from:] is not written yet; base[:last] is where the last copy ended
	for at := 0; at+deltaBlock <= len(target); {
		b := -1
		if same(last, at) {
			b = last // usual case: the last copy continues
		} else if c := int(table[deltaHash(target[at:], shift)]) - 1; same(c, at) {
			b = c
		} else if skip := last + at - from; same(skip, at) {
			b = skip // bytes were replaced by the same number
		}
		if b < 0 {
			at++
			continue
		}
		start := at
		for start > from && b > 0 && base[b-1] == target[start-1] {
			start, b = start-1, b-1
		}
		n := at - start + deltaBlock
		n += common(target[start+n:], base[b+n:])
		dst = binary.AppendUvarint(dst, uint64(start-from))
		dst = append(dst, target[from:start]...)
		dst = binary.AppendUvarint(dst, uint64(n))
		dst = binary.AppendVarint(dst, int64(b-last))
		at, last = start+n, b+n
		from = at
	}
	dst = binary.AppendUvarint(dst, uint64(len(target)-from))
	dst = append(dst, target[from:]...)
	return binary.AppendUvarint(dst, 0)
}

// common returns the length of the common prefix of a and b.
func common(a, b []byte) int {
	n := 0
	for len(a) >= n+8 && len(b) >= n+8 {
		if x := binary.LittleEndian.Uint64(a[n:]) ^ binary.LittleEndian.Uint64(b[n:]); x != 0 {
			return n + bits.TrailingZeros64(x)/8
		}
		n += 8
	}
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// applyDelta returns the target, which must be size bytes long.
func applyDelta(base, delta []byte, size int) ([]byte, error) {
	out := make([]byte, 0, min(size, len(base)+len(delta)))
	last := int64(0)
	for {
		n, w := binary.Uvarint(delta)
		if w <= 0 || n > uint64(len(delta)-w) || n > uint64(size-len(out)) {
			return nil, errDelta
		}
		out = append(out, delta[w:w+int(n)]...)
		delta = delta[w+int(n):]
		n, w = binary.Uvarint(delta)
		if w <= 0 {
			return nil, errDelta
		}
		delta = delta[w:]
		if n == 0 {
			if len(delta) > 0 || len(out) != size {
				return nil, errDelta
			}
			return out, nil
		}
		d, w := binary.Varint(delta)
		at := last + d
		if w <= 0 || at < 0 || at > int64(len(base)) || n > uint64(int64(len(base))-at) {
			return nil, errDelta
		}
		if n > uint64(size-len(out)) {
			return nil, errDelta
		}
		out = append(out, base[at:at+int64(n)]...)
		delta = delta[w:]
		last = at + int64(n)
	}
}
