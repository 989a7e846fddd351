package merkle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// A Hash is a SHA-256 digest. Its text form, also in JSON, is 64 hexadecimal
// digits; it is written in lower case and read in either.
type Hash [32]byte

// Sum returns the SHA-256 of b, without a tag. The Sum of the sealed bytes of a
// resource is its leaf, and that of a sealed chunk is the chunk's id.
func Sum(b []byte) Hash { return sha256.Sum256(b) }

// ParseHash parses exactly 64 hexadecimal digits of either case. Any other
// character is an error.
func ParseHash(s string) (Hash, error) {
	var h Hash
	err := h.UnmarshalText([]byte(s))
	return h, err
}

// String returns 64 lower-case hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// IsZero reports whether h is the zero value, which means "no hash".
func (h Hash) IsZero() bool { return h == Hash{} }

// Compare compares hashes byte by byte. It returns -1, 0 or 1, as
// slices.SortFunc needs it.
func (h Hash) Compare(o Hash) int { return bytes.Compare(h[:], o[:]) }

// AppendText appends the text form to b. It never fails.
func (h Hash) AppendText(b []byte) ([]byte, error) { return hex.AppendEncode(b, h[:]), nil }

// MarshalText returns the text form. It never fails.
func (h Hash) MarshalText() ([]byte, error) { return h.AppendText(nil) }

// UnmarshalText parses the text as ParseHash does. On an error h is not changed.
func (h *Hash) UnmarshalText(text []byte) error {
	if len(text) != 2*len(h) {
		return fmt.Errorf("parse hash: want %d hex digits, found %d characters", 2*len(h), len(text))
	}
	var d Hash
	if _, err := hex.Decode(d[:], text); err != nil {
		return fmt.Errorf("parse hash: %w", err)
	}
	*h = d
	return nil
}
