//go:build !purego

package gcmsiv

import "golang.org/x/sys/cpu"

// An engine says which code runs.
type engine uint8

const (
	portable engine = iota
	neon            // AES and PMULL: eight blocks side by side
)

func bestEngine() engine {
	if cpu.ARM64.HasAES && cpu.ARM64.HasPMULL {
		return neon
	}
	return portable
}

func (e engine) String() string { return [...]string{"portable", "neon"}[e] }

// powers are the powers of the hash key, laid out as internal/tools/gcmsivasm
// says.
type powers [2 * 8 * 16]byte

//go:noescape
func expandNEON(key *[32]byte, round *roundKeys)

//go:noescape
func powersNEON(h *[16]byte, powers *powers)

//go:noescape
func polyvalNEON(powers *powers, sum *[16]byte, data *byte, blocks int)

//go:noescape
func ctrNEON(round *roundKeys, counter *[16]byte, dst, src *byte, groups int)

//go:noescape
func ctrOneNEON(round *roundKeys, counter *[16]byte, dst, src *byte)

// expand computes the round keys of a key.
func (e engine) expand(key *[32]byte, round *roundKeys) { expandNEON(key, round) }

// raise computes the powers of the hash key h.
func (e engine) raise(h *[16]byte, p *powers) { powersNEON(h, p) }

// polyval hashes data, a multiple of 16 bytes, into sum.
func (e engine) polyval(p *powers, sum *[16]byte, data []byte) {
	if len(data) >= 16 {
		polyvalNEON(p, sum, &data[0], len(data)/16)
	}
}

// ctr encrypts the whole groups of eight blocks at the front of src and
// returns how many bytes that were.
func (e engine) ctr(round *roundKeys, counter *[16]byte, dst, src []byte) (n int) {
	if len(src) >= 128 {
		ctrNEON(round, counter, &dst[0], &src[0], len(src)/128)
	}
	return len(src) &^ 127
}

// ctrOne encrypts one block.
func (e engine) ctrOne(round *roundKeys, counter, block *[16]byte) {
	ctrOneNEON(round, counter, &block[0], &block[0])
}
