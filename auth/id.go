package auth

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/dig-network/digstore/internal/bls"
)

// StoreID names a store (datastore): 32 bytes, as text 64 hex digits, written in lower case and
// read in either (digstore/urn/FORMAT.md 1). It is not bound to a key: see StoreIDFromKey.
type StoreID [32]byte

// StoreIDFromKey returns the id of a store that no chain knows: the SHA-256 of its publisher's
// public key. Where a store's id equals this value, the key is the store's; where it
// does not, nothing follows.
func StoreIDFromKey(pub PublicKey) StoreID { return sha256.Sum256(pub[:]) }

// ParseStoreID reads exactly 64 hex digits of either case, and nothing else around them.
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

// UnmarshalText reads what ParseStoreID reads.
func (id *StoreID) UnmarshalText(text []byte) error { return parseHex("store id", id[:], text) }

// PublicKey is a BLS12-381 public key as it travels: a compressed point of G1, 48 bytes, as text
// 96 hex digits. Any 48 bytes are a PublicKey; whether they are a key is what NewVerifier finds out.
type PublicKey [48]byte

// ParsePublicKey reads exactly 96 hex digits of either case. It does not look at the point.
func ParsePublicKey(s string) (k PublicKey, err error) {
	return k, parseHex("public key", k[:], []byte(s))
}

// String returns 96 lower-case hex digits.
func (k PublicKey) String() string { return hex.EncodeToString(k[:]) }

// IsZero reports whether k is all zeros, which stands for a key that is not known.
func (k PublicKey) IsZero() bool { return k == PublicKey{} }

// Fingerprint returns Chia's short name of a key: the first four bytes of its SHA-256, big-endian.
// It tells a few keys apart for a reader and proves nothing.
func (k PublicKey) Fingerprint() uint32 {
	h := sha256.Sum256(k[:])
	return binary.BigEndian.Uint32(h[:4])
}

// MarshalText returns what String returns.
func (k PublicKey) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, k[:]), nil }

// UnmarshalText reads what ParsePublicKey reads.
func (k *PublicKey) UnmarshalText(text []byte) error { return parseHex("public key", k[:], text) }

// Signature is a BLS12-381 signature as it travels: a compressed point of G2, 96 bytes, as text
// 192 hex digits. The zero value stands for a signature that is not known; it verifies nothing.
type Signature [96]byte

// ParseSignature reads exactly 192 hex digits of either case. It does not look at the point.
func ParseSignature(s string) (sig Signature, err error) {
	return sig, parseHex("signature", sig[:], []byte(s))
}

// String returns 192 lower-case hex digits.
func (s Signature) String() string { return hex.EncodeToString(s[:]) }

// IsZero reports whether s is all zeros: not known.
func (s Signature) IsZero() bool { return s == Signature{} }

// MarshalText returns what String returns.
func (s Signature) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, s[:]), nil }

// UnmarshalText reads what ParseSignature reads.
func (s *Signature) UnmarshalText(text []byte) error { return parseHex("signature", s[:], text) }

// parseHex fills dst from text, which must be exactly its hex digits; dst is left alone otherwise.
// The text is not repeated in the error: it may be hostile, or a secret in the wrong place.
func parseHex(what string, dst, text []byte) error {
	if len(text) != 2*len(dst) {
		return fmt.Errorf("parse %s: %d characters, want %d hex digits", what, len(text), 2*len(dst))
	}
	var room [bls.SignatureSize]byte
	b := room[:len(dst)]
	if _, err := hex.Decode(b, text); err != nil {
		return fmt.Errorf("parse %s: not all of its %d characters are hex digits", what, len(text))
	}
	copy(dst, b)
	return nil
}
