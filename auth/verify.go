package auth

import (
	"context"
	"errors"
	"fmt"

	"github.com/dig-network/digstore/internal/bls"
)

var (
	// ErrSignature is what every failing check of a signature wraps: the key, the bytes and the
	// signature do not belong together.
	ErrSignature = errors.New("signature does not verify")
	// ErrPublicKey is wrapped where bytes are no usable key: not a canonical point of the group,
	// the point at infinity, or (of a node key) a point of small order.
	ErrPublicKey = errors.New("not a usable public key")
	// ErrForbidden means that the caller is known and may not do this (HTTP 403).
	ErrForbidden = errors.New("forbidden")
)

// Signer signs for one public key. Implementations are safe for concurrent use and sign in
// Chia's augmented scheme: the hashed bytes are the 48 bytes of the public key, then msg.
type Signer interface {
	// PublicKey returns the key that verifies. It is always the same one and does not block.
	PublicKey() PublicKey
	// Sign signs msg of any length, also none. It may block: on a device, on a person.
	Sign(ctx context.Context, msg []byte) (Signature, error)
}

// Verifier is one public key that is known to be valid. Implementations are safe for concurrent use.
type Verifier interface {
	// PublicKey returns the key.
	PublicKey() PublicKey
	// Verify returns nil when sig is the key's signature over msg, and else an error that
	// wraps ErrSignature.
	Verify(msg []byte, sig Signature) error
}

// NewVerifier decodes a public key: on the curve, in the subgroup, not infinity. The error wraps
// ErrPublicKey. It costs about a fifteenth of a verification; callers that see a key often keep
// the Verifier.
func NewVerifier(pub PublicKey) (Verifier, error) {
	k, err := bls.ParsePublicKey(pub[:])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPublicKey, err)
	}
	return &verifier{key: k}, nil
}

type verifier struct{ key *bls.PublicKey }

func (v *verifier) PublicKey() PublicKey { return v.key.Bytes() }

func (v *verifier) Verify(msg []byte, sig Signature) error {
	s, err := bls.ParseSignature(sig[:])
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	if !v.key.Verify(bls.Augmented, msg, s) {
		return ErrSignature
	}
	return nil
}

// verifyBy checks one signature by a key that is not decoded yet.
func verifyBy(pub PublicKey, msg []byte, sig Signature) error {
	v, err := NewVerifier(pub)
	if err != nil {
		return err
	}
	return v.Verify(msg, sig)
}
