package auth

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"

	"github.com/dig-network/digstore/internal/bls"
)

// SeedSize is the length in bytes of the seed of a Key or a NodeKey.
const SeedSize = 32

// Key is a BLS secret key of a user (the identity key) or of a store (the publisher key). It is a
// Signer and a Verifier, is safe for concurrent use, and prints as a fingerprint.
type Key struct {
	seed [SeedSize]byte
	sk   *bls.SecretKey
	v    verifier
}

var (
	_ Signer   = (*Key)(nil)
	_ Verifier = (*Key)(nil)
)

// NewKey derives a key from a seed with KeyGen of draft 3, "KeyGenV3" (remote/PROTOCOL.md 1.2).
// Every seed is valid. The seed is not the scalar of the key.
func NewKey(seed [SeedSize]byte) *Key {
	sk, err := bls.KeyGenV3(seed[:])
	if err != nil {
		panic("auth: " + err.Error()) // only for seeds shorter than 32 bytes
	}
	return &Key{seed: seed, sk: sk, v: verifier{key: sk.PublicKey()}}
}

// GenerateKey makes a key from 32 bytes of rnd; nil means crypto/rand. It returns rnd's error and
// uses no other source.
func GenerateKey(rnd io.Reader) (*Key, error) {
	seed, err := newSeed(rnd)
	if err != nil {
		return nil, err
	}
	return NewKey(seed), nil
}

// ParseKey parses the text form of a secret key: exactly 64 hex digits of the seed. The error does
// not contain the text.
func ParseKey(text string) (*Key, error) {
	var seed [SeedSize]byte
	if err := parseHex("key", seed[:], []byte(text)); err != nil {
		return nil, err
	}
	return NewKey(seed), nil
}

// Seed returns the secret seed, for export and for key files.
func (k *Key) Seed() [SeedSize]byte { return k.seed }

// PublicKey returns the public key.
func (k *Key) PublicKey() PublicKey { return k.v.PublicKey() }

// Verify implements Verifier.
func (k *Key) Verify(msg []byte, sig Signature) error { return k.v.Verify(msg, sig) }

// Sign signs msg in constant time. It does not block; it fails only if ctx is done.
func (k *Key) Sign(ctx context.Context, msg []byte) (Signature, error) {
	if err := ctx.Err(); err != nil {
		return Signature{}, fmt.Errorf("sign with %v: %w", k, err)
	}
	return k.sk.Sign(bls.Augmented, msg).Bytes(), nil
}

// String returns "bls:" and the public key's fingerprint as 8 hex digits.
func (k *Key) String() string { return fmt.Sprintf("bls:%08x", k.PublicKey().Fingerprint()) }

// GoString returns what String returns.
func (k *Key) GoString() string { return k.String() }

// Format writes String for every verb, so that %x and %+v do not print the secret.
func (k *Key) Format(f fmt.State, _ rune) { io.WriteString(f, k.String()) }

// MarshalJSON returns String as a JSON string. It cannot be unmarshalled.
func (k *Key) MarshalJSON() ([]byte, error) { return json.Marshal(k.String()) }

func newSeed(rnd io.Reader) (seed [SeedSize]byte, err error) {
	if rnd == nil {
		rnd = rand.Reader
	}
	if _, err := io.ReadFull(rnd, seed[:]); err != nil {
		return seed, fmt.Errorf("generate key: read %d random bytes: %w", SeedSize, err)
	}
	return seed, nil
}
