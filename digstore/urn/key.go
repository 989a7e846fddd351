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

// Overhead is the length of the authentication tag in bytes: a sealed chunk is that
// much longer than its plaintext.
const Overhead = 16

// ErrSealed reports sealed bytes that do not open: they were changed, the key is that
// of another resource, or the salt is missing or wrong. The causes cannot be told
// apart.
var ErrSealed = errors.New("sealed bytes do not open: damaged, or sealed with another key or salt")

// A Salt is the secret of a private store. Content keys are derived from it and the
// URN. It prints as a fingerprint and cannot be marshalled; Hex returns the digits.
type Salt [32]byte

// ParseSalt reads 64 hex digits of either case. Its errors never show them.
func ParseSalt(s string) (*Salt, error) {
	var salt Salt
	if len(s) != 2*len(salt) {
		return nil, fmt.Errorf("parse secret salt: want %d hex digits, found %d characters",
			2*len(salt), len(s))
	}
	if _, err := hex.Decode(salt[:], []byte(s)); err != nil {
		return nil, errors.New("parse secret salt: want hex digits, found another character")
	}
	return &salt, nil
}

// Hex returns the 64 lower-case digits of the secret.
func (s *Salt) Hex() string { return hex.EncodeToString(s[:]) }

// String returns a fingerprint, never the secret.
func (s Salt) String() string { return fingerprint("salt", s[:]) }

// GoString returns what String returns, so that %#v shows no secret either.
func (s Salt) GoString() string { return s.String() }

// MarshalText always fails, so that no secret is written by accident: see Hex.
func (s Salt) MarshalText() ([]byte, error) {
	return nil, errors.New("marshal secret salt: not permitted")
}

// A Key seals and opens the chunks of one resource of one store, with
// AES-256-GCM-SIV under the all-zero nonce and without associated data
// (FORMAT.md 7). The same plaintext always gives the same sealed bytes.
//
// Deriving a Key takes a few microseconds: make one for each resource, not for each
// chunk. A Key is safe for concurrent use.
type Key struct {
	sealer *gcmsiv.Sealer
}

// NewKey derives the key of a resource. An empty name is not replaced by
// DefaultResource. Salt is nil for a public store.
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
		panic(err) // HKDF returns up to 8,160 bytes
	}
	copy(secret[:], okm)
	return secret
}

// Seal appends the sealed form of one chunk to dst: len(plain) + Overhead bytes. To seal
// in place, pass plain[:0] as dst, with a capacity of Overhead more bytes; otherwise
// the two must not overlap.
func (k *Key) Seal(dst, plain []byte) []byte { return k.sealer.Seal(dst, plain) }

// Open appends the plaintext of one sealed chunk to dst. To open in place, pass
// sealed[:0] as dst; otherwise the two must not overlap. The error is ErrSealed; no
// plaintext is written to dst then.
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
