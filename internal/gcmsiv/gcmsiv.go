package gcmsiv

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
)

// Overhead is the length in bytes of the tag that follows the ciphertext.
const Overhead = 16

const nonceSize = 12

// maxLen is the longest plaintext and the longest additional data, in bytes.
const maxLen = 1 << 36

// ErrOpen is returned by every Open that finds the sealed message too short,
// too long, altered, or sealed under another key, nonce or additional data.
// Which of these it was is not told.
var ErrOpen = errors.New("gcmsiv: open: message authentication failed")

// An AEAD seals and opens under one key-generating key, with a nonce and
// additional data for every message. It is a [cipher.AEAD]. An AEAD is
// immutable and may be used by any number of goroutines.
type AEAD struct {
	engine engine
	master aesKey
}

var _ cipher.AEAD = (*AEAD)(nil)

// New returns the AEAD of a 32-byte key. The key is copied.
func New(key *[32]byte) *AEAD {
	return newAEAD(bestEngine(), key)
}

func newAEAD(e engine, key *[32]byte) *AEAD {
	a := &AEAD{engine: e}
	a.master.init(e, key)
	return a
}

// NonceSize returns 12.
func (a *AEAD) NonceSize() int { return nonceSize }

// Overhead returns 16: a sealed message is that much longer than its plaintext.
func (a *AEAD) Overhead() int { return Overhead }

// Seal encrypts and authenticates plaintext, authenticates additionalData,
// appends ciphertext and tag to dst and returns the longer slice.
//
// To seal in place, pass plaintext[:0] as dst; any other overlap of the
// output with the plaintext panics, and so do a nonce that is not 12 bytes long
// and plaintext or additional data above 2^36 bytes.
func (a *AEAD) Seal(dst, nonce, plaintext, additionalData []byte) []byte {
	var s Sealer
	s.init(a, nonceArray(nonce))
	return s.seal(dst, plaintext, additionalData)
}

// Open checks a message made by Seal, appends its plaintext to dst and returns
// the longer slice, or returns ErrOpen and no bytes: what had been decrypted
// is then overwritten with zeros before Open returns.
//
// To open in place, pass sealed[:0] as dst; sealed is lost then even when Open
// fails. Any other overlap panics, and so does a nonce that is not 12 bytes long.
func (a *AEAD) Open(dst, nonce, sealed, additionalData []byte) ([]byte, error) {
	var s Sealer
	s.init(a, nonceArray(nonce))
	return s.open(dst, sealed, additionalData)
}

// WithNonce returns the Sealer that seals under one nonce: everything that
// depends on key and nonce alone is computed here, once.
func (a *AEAD) WithNonce(nonce [12]byte) *Sealer {
	s := new(Sealer)
	s.init(a, nonce)
	return s
}

func nonceArray(nonce []byte) [12]byte {
	if len(nonce) != nonceSize {
		panic(fmt.Sprintf("gcmsiv: nonce of %d bytes, want %d", len(nonce), nonceSize))
	}
	return [12]byte(nonce)
}

// derive computes the keys of one nonce (RFC 8452, section 4). The blocks
// that are encrypted there are the counter 0 to 5 followed by the nonce, which is
// key stream in the counter mode of the same section.
func (k *aesKey) derive(nonce [12]byte) (auth [16]byte, enc [32]byte) {
	var counter [16]byte
	copy(counter[4:], nonce[:])
	var blocks [6 * 16]byte
	k.xorKeyStream(blocks[:], blocks[:], &counter)
	copy(auth[:8], blocks[0:])
	copy(auth[8:], blocks[16:])
	for i := range 4 {
		copy(enc[8*i:8*i+8], blocks[32+16*i:])
	}
	return auth, enc
}

// appendLengths appends the length block that ends what POLYVAL hashes.
func appendLengths(b []byte, aad, plaintext int) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(aad)*8)
	return binary.LittleEndian.AppendUint64(b, uint64(plaintext)*8)
}
