package clvm

import (
	"encoding/binary"
	"math"
	"math/big"
)

// AppendInt appends the atom of v: the shortest two's complement, big-endian. 0 is empty, 128 is
// 0080, -1 is ff.
func AppendInt(dst []byte, v int64) []byte {
	if v == 0 {
		return dst
	}
	n := 1
	for n < 8 && v>>(8*n-1) != 0 && v>>(8*n-1) != -1 {
		n++
	}
	for i := n - 1; i >= 0; i-- {
		dst = append(dst, byte(v>>(8*i)))
	}
	return dst
}

// AppendUint appends the atom of v, which has 9 bytes from 1<<63 on. It is the form of the amount
// in a coin id.
func AppendUint(dst []byte, v uint64) []byte {
	if v > math.MaxInt64 {
		return binary.BigEndian.AppendUint64(append(dst, 0), v)
	}
	return AppendInt(dst, int64(v))
}

// significant returns an integer without redundant leading bytes.
func significant(s string) string {
	for len(s) > 1 && (s[0] == 0 && s[1] < 0x80 || s[0] == 0xff && s[1] >= 0x80) {
		s = s[1:]
	}
	if s == "\x00" {
		return ""
	}
	return s
}

// toBig returns the integer of an atom.
func toBig(s string) *big.Int {
	v := new(big.Int).SetBytes([]byte(s))
	if s != "" && s[0] >= 0x80 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(s))))
	}
	return v
}

// fromBig returns the shortest atom of v.
func fromBig(v *big.Int) []byte {
	switch v.Sign() {
	case 0:
		return nil
	case 1:
		b := make([]byte, v.BitLen()/8+1) // room for a sign bit
		return v.FillBytes(b)
	}
	// -2^(8n-1) still fits n bytes; the complement is one less in magnitude.
	c := new(big.Int).Not(v)
	b := make([]byte, c.BitLen()/8+1)
	c.FillBytes(b)
	for i := range b {
		b[i] = ^b[i]
	}
	return b
}
