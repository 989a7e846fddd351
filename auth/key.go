package auth

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"

	"github.com/dig-network/digstore/internal/bls"
)

// SeedSize is the length in bytes of the secret that keys of both kinds are made from.
const SeedSize = 32

// Key is a BLS secret key: of a person (the identity key) or of a store (the publisher key). It is
// a Signer and a Verifier, safe for concurrent use, and prints as a fingerprint only.
type Key struct {
	seed [SeedSize]byte
	sk   *bls.SecretKey
	v    verifier
}

var (
	_ Signer   = (*Key)(nil)
	_ Verifier = (*Key)(nil)
)

// NewKey makes the key of a seed (remote/PROTOCOL.md 1.2: KeyGen of draft 3, "KeyGenV3"). Every seed is
// good. A seed is not the scalar: software that imports scalars needs Chia's derivation first.
func NewKey(seed [SeedSize]byte) *Key {
	sk, err := bls.KeyGenV3(seed[:])
	if err != nil {
		panic("auth: " + err.Error()) // only for seeds under 32 bytes
	}
	return &Key{seed: seed, sk: sk, v: verifier{key: sk.PublicKey()}}
}

// GenerateKey makes a key from 32 bytes of rnd; nil means crypto/rand. The error is rnd's: there
// is no fallback.
func GenerateKey(rnd io.Reader) (*Key, error) {
	seed, err := newSeed(rnd)
	if err != nil {
		return nil, err
	}
	return NewKey(seed), nil
}

// ParseKey reads the text form in which keys are handed over: exactly 64 hex digits of the seed.
// The error does not repeat them.
func ParseKey(text string) (*Key, error) {
	var seed [SeedSize]byte
	if err := parseHex("key", seed[:], []byte(text)); err != nil {
		return nil, err
	}
	return NewKey(seed), nil
}

// Seed returns the secret, for export and for key files.
func (k *Key) Seed() [SeedSize]byte { return k.seed }

// PublicKey returns the key that verifies.
func (k *Key) PublicKey() PublicKey { return k.v.PublicKey() }

// Verify is Verifier's, for the key's own signatures.
func (k *Key) Verify(msg []byte, sig Signature) error { return k.v.Verify(msg, sig) }

// Sign signs msg in constant time. It blocks on nothing; the error is that of a ctx already ended.
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

// Format writes String whatever the verb, so that %x and %+v show no secret.
func (k *Key) Format(f fmt.State, _ rune) { io.WriteString(f, k.String()) }

// MarshalJSON returns String as a JSON string. There is no way back from it.
func (k *Key) MarshalJSON() ([]byte, error) { return json.Marshal(k.String()) }

func newSeed(rnd io.Reader) (seed [SeedSize]byte, err error) {
	if rnd == nil {
		rnd = rand.Reader
	}
	if _, err := io.ReadFull(rnd, seed[:]); err != nil {
		return seed, fmt.Errorf("draw the %d random bytes of a key: %w", SeedSize, err)
	}
	return seed, nil
}
