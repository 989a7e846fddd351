package gcmsiv

import "crypto/subtle"

// A Sealer seals and opens under one key and one nonce, without additional
// data. It holds the derived keys, their schedule and the powers of the hash
// key. A Sealer is immutable and may be used by any number of goroutines.
type Sealer struct {
	enc   aesKey
	hash  hashKey
	nonce [12]byte
}

func (s *Sealer) init(a *AEAD, nonce [12]byte) {
	auth, enc := a.master.derive(nonce)
	s.enc.init(a.engine, &enc)
	s.hash.init(a.engine, &auth)
	s.nonce = nonce
}

// Seal encrypts and authenticates plaintext, appends ciphertext and 16-byte
// tag to dst and returns the longer slice. Equal plaintexts give equal output.
//
// To seal in place, pass plaintext[:0] as dst; any other overlap of the output
// with the plaintext panics, and so does a plaintext above 2^36 bytes.
func (s *Sealer) Seal(dst, plaintext []byte) []byte {
	return s.seal(dst, plaintext, nil)
}

// Open checks a message made by Seal, appends its plaintext to dst and returns
// the longer slice, or returns ErrOpen and no bytes: what had been decrypted
// is then overwritten with zeros before Open returns.
//
// To open in place, pass sealed[:0] as dst; sealed is lost then even when Open
// fails. Any other overlap panics.
func (s *Sealer) Open(dst, sealed []byte) ([]byte, error) {
	return s.open(dst, sealed, nil)
}

func (s *Sealer) seal(dst, plaintext, aad []byte) []byte {
	if uint64(len(plaintext)) > maxLen || uint64(len(aad)) > maxLen {
		panic("gcmsiv: seal: plaintext or additional data above 2^36 bytes")
	}
	ret, out := extend(dst, len(plaintext)+Overhead)
	if overlapsBadly(out, plaintext) {
		panic("gcmsiv: seal: output overlaps the plaintext other than in place")
	}
	var sum [16]byte
	s.absorb(&sum, aad)
	whole := len(plaintext) &^ 15
	s.hash.update(&sum, plaintext[:whole])
	tag := s.tag(&sum, plaintext[whole:], len(aad), len(plaintext))
	s.xor(out, plaintext, counter(tag))
	copy(out[len(plaintext):], tag[:])
	return ret
}

// piece is how much Open decrypts before it hashes it: few enough bytes to be
// still in the first cache.
const piece = 8 << 10

func (s *Sealer) open(dst, sealed, aad []byte) ([]byte, error) {
	n := len(sealed) - Overhead
	if n < 0 || uint64(n) > maxLen || uint64(len(aad)) > maxLen {
		return nil, ErrOpen
	}
	got := [16]byte(sealed[n:])
	ret, out := extend(dst, n)
	if overlapsBadly(out, sealed) {
		panic("gcmsiv: open: output overlaps the sealed message other than in place")
	}
	var sum [16]byte
	s.absorb(&sum, aad)
	ctr := counter(got)
	rest, from := out, sealed[:n]
	for len(rest) > piece {
		s.enc.xorKeyStream(rest[:piece], from[:piece], &ctr)
		s.hash.update(&sum, rest[:piece])
		rest, from = rest[piece:], from[piece:]
	}
	s.enc.xorKeyStream(rest, from, &ctr)
	whole := len(rest) &^ 15
	s.hash.update(&sum, rest[:whole])
	want := s.tag(&sum, rest[whole:], len(aad), n)
	if subtle.ConstantTimeCompare(want[:], got[:]) != 1 {
		clear(out)
		return nil, ErrOpen
	}
	return ret, nil
}

// xor encrypts or decrypts all of src into dst.
func (s *Sealer) xor(dst, src []byte, ctr [16]byte) {
	s.enc.xorKeyStream(dst, src, &ctr)
}

// absorb hashes data padded with zeros to whole blocks.
func (s *Sealer) absorb(sum *[16]byte, data []byte) {
	whole := len(data) &^ 15
	s.hash.update(sum, data[:whole])
	if whole < len(data) {
		var last [16]byte
		copy(last[:], data[whole:])
		s.hash.update(sum, last[:])
	}
}

// tag ends the hash with the last, incomplete block of the plaintext and the
// lengths, and encrypts it (RFC 8452, section 4).
func (s *Sealer) tag(sum *[16]byte, last []byte, aad, plaintext int) (tag [16]byte) {
	var buf [32]byte
	end := buf[:copy(buf[:], last)]
	if len(end) > 0 {
		end = buf[:16]
	}
	s.hash.update(sum, appendLengths(end, aad, plaintext))
	subtle.XORBytes(sum[:nonceSize], sum[:nonceSize], s.nonce[:])
	sum[15] &= 0x7f
	s.enc.xorKeyStream(tag[:], tag[:], sum) // the key stream at sum is the encryption of sum
	return tag
}

// counter returns the first counter block of a message with that tag.
func counter(tag [16]byte) [16]byte {
	tag[15] |= 0x80
	return tag
}
