package auth

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/dig-network/digstore/internal/bls"
)

// StoreID names a store (datastore): 32 bytes. Its text form is 64 hex digits, written in lower
// case and read in either case (digstore/urn/FORMAT.md 1). It proves no key: see StoreIDFromKey.
type StoreID [32]byte

// StoreIDFromKey returns the id of a store without a coin: the SHA-256 of its publisher's public
// key. If a store's id equals this value, the id proves the key. Otherwise it proves nothing.
func StoreIDFromKey(pub PublicKey) StoreID { return sha256.Sum256(pub[:]) }

// ParseStoreID parses exactly 64 hex digits of either case.
func ParseStoreID(s string) (id StoreID, err error) {
	return id, parseHex("store id", id[:], []byte(s))
}

// String returns 64 lower-case hex digits.
func (id StoreID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether id is all zeros, which names no store.
func (id StoreID) IsZero() bool { return id == StoreID{} }

// Compare orders ids by their bytes: -1, 0 or 1.
func (id StoreID) Compare(other StoreID) int { return bytes.Compare(id[:], other[:]) }

// MarshalText returns what String returns.
func (id StoreID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

// UnmarshalText parses the text as ParseStoreID does.
func (id *StoreID) UnmarshalText(text []byte) error { return parseHex("store id", id[:], text) }

// PublicKey is an encoded BLS12-381 public key: a compressed point of G1 in 48 bytes. Its text form
// is 96 hex digits. The bytes may be invalid: NewVerifier checks them.
type PublicKey [48]byte

// ParsePublicKey parses exactly 96 hex digits of either case. It does not check the point.
func ParsePublicKey(s string) (k PublicKey, err error) {
	return k, parseHex("public key", k[:], []byte(s))
}

// String returns 96 lower-case hex digits.
func (k PublicKey) String() string { return hex.EncodeToString(k[:]) }

// IsZero reports whether k is all zeros, which means that the key is not known.
func (k PublicKey) IsZero() bool { return k == PublicKey{} }

// Fingerprint returns Chia's fingerprint of a key: the first four bytes of its SHA-256, big-endian.
// It is for display and proves nothing.
func (k PublicKey) Fingerprint() uint32 {
	h := sha256.Sum256(k[:])
	return binary.BigEndian.Uint32(h[:4])
}

// MarshalText returns what String returns.
func (k PublicKey) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, k[:]), nil }

// UnmarshalText parses the text as ParsePublicKey does.
func (k *PublicKey) UnmarshalText(text []byte) error { return parseHex("public key", k[:], text) }

// Signature is an encoded BLS12-381 signature: a compressed point of G2 in 96 bytes. Its text form
// is 192 hex digits. The zero value means that the signature is not known; it never verifies.
type Signature [96]byte

// ParseSignature parses exactly 192 hex digits of either case. It does not check the point.
func ParseSignature(s string) (sig Signature, err error) {
	return sig, parseHex("signature", sig[:], []byte(s))
}

// String returns 192 lower-case hex digits.
func (s Signature) String() string { return hex.EncodeToString(s[:]) }

// IsZero reports whether s is all zeros: not known.
func (s Signature) IsZero() bool { return s == Signature{} }

// MarshalText returns what String returns.
func (s Signature) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, s[:]), nil }

// UnmarshalText parses the text as ParseSignature does.
func (s *Signature) UnmarshalText(text []byte) error { return parseHex("signature", s[:], text) }

// parseHex decodes text, which must have exactly the hex digits of dst. On an error dst is not
// changed. The error does not contain the text, which may be untrusted, or a secret in the wrong
// place.
func parseHex(what string, dst, text []byte) error {
	if len(text) != 2*len(dst) {
		return fmt.Errorf("parse %s: want %d hex digits, found %d characters", what, 2*len(dst),
			len(text))
	}
	var room [bls.SignatureSize]byte
	b := room[:len(dst)]
	if _, err := hex.Decode(b, text); err != nil {
		return fmt.Errorf("parse %s: want hex digits, found another character", what)
	}
	copy(dst, b)
	return nil
}
