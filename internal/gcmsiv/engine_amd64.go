//go:build !purego

package gcmsiv

import "golang.org/x/sys/cpu"

// An engine says which code runs.
type engine uint8

const (
	portable engine = iota
	narrow          // AES, PCLMULQDQ, AVX: eight blocks side by side
	wide            // AVX-512 with VAES and VPCLMULQDQ: sixteen
)

func bestEngine() engine {
	x := &cpu.X86
	switch {
	case !(x.HasAES && x.HasPCLMULQDQ && x.HasAVX):
		return portable
	case !(x.HasAVX2 && x.HasAVX512F && x.HasAVX512VAES && x.HasAVX512VPCLMULQDQ && x.HasAVX512BW &&
		x.HasAVX512DQ && x.HasAVX512VL):
		return narrow
	}
	return wide
}

func (e engine) String() string { return [...]string{"portable", "avx", "avx512"}[e] }

// powers are the powers of the hash key, laid out as internal/tools/gcmsivasm
// says.
type powers [2*8*16 + 32*16]byte

//go:noescape
func expandAVX(key *[32]byte, round *roundKeys)

//go:noescape
func powersAVX(h *[16]byte, powers *powers)

//go:noescape
func polyvalAVX(powers *powers, sum *[16]byte, data *byte, blocks int)

//go:noescape
func ctrAVX(round *roundKeys, counter *[16]byte, dst, src *byte, groups int)

//go:noescape
func ctrOneAVX(round *roundKeys, counter *[16]byte, dst, src *byte)

//go:noescape
func powersAVX512(powers *powers)

//go:noescape
func polyvalAVX512(powers *powers, sum *[16]byte, data *byte, quads int)

//go:noescape
func ctrAVX512(round *roundKeys, counter *[16]byte, dst, src *byte, groups int)

// expand computes the round keys of a key.
func (e engine) expand(key *[32]byte, round *roundKeys) { expandAVX(key, round) }

// raise computes the powers of the hash key h.
func (e engine) raise(h *[16]byte, p *powers) {
	powersAVX(h, p)
	if e == wide {
		powersAVX512(p)
	}
}

// polyval hashes data, a multiple of 16 bytes, into sum.
func (e engine) polyval(p *powers, sum *[16]byte, data []byte) {
	if e == wide && len(data) >= 64 {
		polyvalAVX512(p, sum, &data[0], len(data)/64)
		data = data[len(data)&^63:]
	}
	if len(data) >= 16 {
		polyvalAVX(p, sum, &data[0], len(data)/16)
	}
}

// ctr encrypts the whole groups of eight blocks at the front of src and
// returns how many bytes that were.
func (e engine) ctr(round *roundKeys, counter *[16]byte, dst, src []byte) (n int) {
	if e == wide && len(src) >= 256 {
		n = len(src) &^ 255
		ctrAVX512(round, counter, &dst[0], &src[0], n/256)
	}
	if len(src)-n >= 128 {
		ctrAVX(round, counter, &dst[n], &src[n], (len(src)-n)/128)
	}
	return len(src) &^ 127
}

// ctrOne encrypts one block.
func (e engine) ctrOne(round *roundKeys, counter, block *[16]byte) {
	ctrOneAVX(round, counter, &block[0], &block[0])
}
