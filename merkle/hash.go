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

// Sum returns the SHA-256 of b, untagged. It is the leaf of a resource when b
// is its sealed bytes, and the id of a chunk when b is the sealed chunk.
func Sum(b []byte) Hash { return sha256.Sum256(b) }

// ParseHash reads exactly 64 hexadecimal digits. A prefix, white space or any
// other character is an error.
func ParseHash(s string) (Hash, error) {
	var h Hash
	err := h.UnmarshalText([]byte(s))
	return h, err
}

// String returns 64 lower-case hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// IsZero reports whether h is the zero value, which stands for "no hash".
func (h Hash) IsZero() bool { return h == Hash{} }

// Compare orders hashes by their bytes, as unsigned numbers from the first on.
// It returns -1, 0 or 1, and serves slices.SortFunc and its like.
func (h Hash) Compare(o Hash) int { return bytes.Compare(h[:], o[:]) }

// AppendText appends the text form to b. It never fails.
func (h Hash) AppendText(b []byte) ([]byte, error) { return hex.AppendEncode(b, h[:]), nil }

// MarshalText returns the text form. It never fails.
func (h Hash) MarshalText() ([]byte, error) { return h.AppendText(nil) }

// UnmarshalText is ParseHash. It leaves h alone when it fails.
func (h *Hash) UnmarshalText(text []byte) error {
	if len(text) != 2*len(h) {
		return fmt.Errorf("parse hash: found %d characters, wanted %d hexadecimal digits", len(text), 2*len(h))
	}
	var d Hash
	if _, err := hex.Decode(d[:], text); err != nil {
		return fmt.Errorf("parse hash: %w", err)
	}
	*h = d
	return nil
}
