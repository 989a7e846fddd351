package module

import (
	"crypto/sha256"
	"fmt"
	"math/bits"

	"golang.org/x/crypto/chacha20"
)

// UniformSize is the length of the blob that the reference implementation pads
// every module to.
const UniformSize = 134217728

// A Padding selects the length of the blob (FORMAT.md 6.3), so that the length of
// a module reveals less about the content. The root does not depend on it. The
// zero value is Padme.
type Padding struct {
	kind paddingKind
	size int64
}

type paddingKind uint8

const (
	padPadme paddingKind = iota
	padUniform
	padNone
)

// Padme rounds the length up by at most 12 %, to at least 4096 bytes. The result
// reveals O(log log n) bits of the length n.
func Padme() Padding { return Padding{} }

// Uniform pads to exactly n bytes; 0 means UniformSize. Content that does not fit
// is ErrTooLarge.
func Uniform(n int64) Padding {
	if n == 0 {
		n = UniformSize
	}
	return Padding{kind: padUniform, size: n}
}

// None writes no filler section.
func None() Padding { return Padding{kind: padNone} }

// filler returns the length of the filler for a blob that has n bytes with an
// empty filler section.
func (p Padding) filler(n int64) (int64, error) {
	switch p.kind {
	case padNone:
		return 0, nil
	case padUniform:
		if n > p.size {
			return 0, fmt.Errorf("pad blob to %d bytes: it has %d bytes: %w", p.size, n, ErrTooLarge)
		}
		return p.size - n, nil
	}
	return padme(max(n, 4096)) - n, nil
}

// padme returns the smallest Padmé length of at least n bytes, n > 1: with
// E = floor(log2 n) and S = floor(log2 E) + 1, a multiple of 2^(E-S).
func padme(n int64) int64 {
	e := bits.Len64(uint64(n)) - 1
	s := bits.Len64(uint64(e))
	unit := int64(1) << (e - s)
	return (n + unit - 1) / unit * unit
}

// A keystream is the filler of one generation: the ChaCha20 key stream of FORMAT.md
// 6.3.
type keystream [32]byte

func newKeystream(id ID) keystream {
	b := make([]byte, 0, 96)
	b = append(b, id.Store[:]...)
	b = append(b, id.Root[:]...)
	return sha256.Sum256(append(b, "digstore-filler-v1"...))
}

// read fills p with the stream from its byte off on.
func (k *keystream) read(p []byte, off int64) {
	c, err := chacha20.NewUnauthenticatedCipher(k[:], make([]byte, chacha20.NonceSize))
	if err != nil {
		panic(err) // both lengths are right
	}
	c.SetCounter(uint32(off / 64))
	if skip := int(off % 64); skip > 0 {
		var block [64]byte
		c.XORKeyStream(block[:], block[:])
		p = p[copy(p, block[skip:]):]
	}
	clear(p)
	c.XORKeyStream(p, p)
}
