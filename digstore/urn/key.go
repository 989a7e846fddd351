package urn

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/gcmsiv"
)

// Overhead is how many bytes a sealed chunk is longer than its plaintext: the
// authentication tag.
const Overhead = 16

// ErrSealed is returned when sealed bytes do not open: they were changed, or
// the key is another resource's, or the salt is missing or wrong. Which of
// these it was cannot be told.
var ErrSealed = errors.New("sealed bytes do not open: damaged, or sealed with another key or salt")

// A Salt is the secret of a private store, from which, with the URN, its
// content keys are derived. It prints as a fingerprint and refuses to be
// marshalled; Hex gives its digits to whoever means to write them down.
type Salt [32]byte

// ParseSalt reads 64 hex digits of either case. Its errors never show them.
func ParseSalt(s string) (*Salt, error) {
	var salt Salt
	if len(s) != 2*len(salt) {
		return nil, fmt.Errorf("parse a secret salt: %d characters, want %d hex digits", len(s), 2*len(salt))
	}
	if _, err := hex.Decode(salt[:], []byte(s)); err != nil {
		return nil, errors.New("parse a secret salt: a character is no hex digit")
	}
	return &salt, nil
}

// Hex returns the 64 lower-case digits of the secret.
func (s *Salt) Hex() string { return hex.EncodeToString(s[:]) }

// String returns a fingerprint, never the secret.
func (s Salt) String() string { return fingerprint("salt", s[:]) }

// GoString returns what String returns, so that %#v shows no secret either.
func (s Salt) GoString() string { return s.String() }

// MarshalText always fails: a secret is written down with Hex or not at all.
func (s Salt) MarshalText() ([]byte, error) {
	return nil, errors.New("a secret salt is not marshalled: use Hex where it has to be stored")
}

// A Key seals and opens the chunks of one resource of one store, with
// AES-256-GCM-SIV under the all-zero nonce and without associated data
// (FORMAT.md 7). The same plaintext always gives the same sealed bytes.
//
// Deriving a Key costs a few microseconds: make one per resource, not one per
// chunk. A Key may be used by several goroutines at once.
type Key struct {
	sealer *gcmsiv.Sealer
}

// NewKey derives the key of a resource named exactly so; the empty name is not
// replaced by DefaultResource. Salt is nil for a public store.
func NewKey(s auth.StoreID, resource string, salt *Salt) *Key {
	return newKey(derive(rootless(s, resource), salt))
}

func newKey(secret [32]byte) *Key {
	return &Key{gcmsiv.New(&secret).WithNonce([12]byte{})}
}

// derive is FORMAT.md 6: HKDF-SHA256 over the text of the rootless URN.
func derive(canonical []byte, salt *Salt) (secret [32]byte) {
	domain := []byte("digstore-hkdf-salt-v1")
	if salt != nil {
		domain = append(domain, salt[:]...)
	}
	hashed := sha256.Sum256(domain)
	okm, err := hkdf.Key(sha256.New, canonical, hashed[:], "digstore-aes-256-gcm-key-v1", len(secret))
	if err != nil {
		panic(err) // only for a length that HKDF cannot give
	}
	copy(secret[:], okm)
	return secret
}

// Seal appends the sealed form of one chunk to dst: as many bytes as the
// plaintext, then Overhead more. To seal in place, pass plain[:0] as dst, with
// room for Overhead bytes behind the plaintext; otherwise the two must not
// overlap.
func (k *Key) Seal(dst, plain []byte) []byte { return k.sealer.Seal(dst, plain) }

// Open appends the plaintext of one sealed chunk to dst. To open in place, pass
// sealed[:0] as dst; otherwise the two must not overlap. The error is
// ErrSealed, and then dst's bytes have not been given any plaintext.
func (k *Key) Open(dst, sealed []byte) ([]byte, error) {
	plain, err := k.sealer.Open(dst, sealed)
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

// String returns a fingerprint, never the key.
func (k *Key) String() string { return fingerprint("content key", k.Seal(nil, nil)) }

// GoString returns what String returns, so that %#v shows no key either.
func (k *Key) GoString() string { return k.String() }

func fingerprint(kind string, secret []byte) string {
	sum := sha256.Sum256(append([]byte("digstore fingerprint:"), secret...))
	return fmt.Sprintf("%s (fingerprint %x)", kind, sum[:4])
}
