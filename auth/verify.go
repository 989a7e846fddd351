package auth

import (
	"context"
	"errors"
	"fmt"

	"github.com/dig-network/digstore/internal/bls"
)

var (
	// ErrSignature is wrapped by every error of a signature check: the signature is not that of
	// this key and these bytes.
	ErrSignature = errors.New("signature does not verify")
	// ErrPublicKey is wrapped by errors about an invalid public key: not a canonical point of the
	// group, the point at infinity or, for a node key, a point of small order.
	ErrPublicKey = errors.New("invalid public key")
	// ErrForbidden means that the caller is authenticated and not authorized (HTTP 403).
	ErrForbidden = errors.New("forbidden")
)

// Signer signs for one public key. Implementations are safe for concurrent use and use Chia's
// augmented scheme: the hashed bytes are the 48 bytes of the public key, then msg.
type Signer interface {
	// PublicKey returns the public key, always the same one. It does not block.
	PublicKey() PublicKey
	// Sign signs msg of any length, including 0. It may block on a device or a user.
	Sign(ctx context.Context, msg []byte) (Signature, error)
}

// Verifier is a public key that is known to be valid. Implementations are safe for concurrent use.
type Verifier interface {
	// PublicKey returns the key.
	PublicKey() PublicKey
	// Verify returns nil if sig is the key's signature of msg, and otherwise an error that
	// wraps ErrSignature.
	Verify(msg []byte, sig Signature) error
}

// NewVerifier decodes a public key and checks that it is on the curve, in the subgroup and not the
// point at infinity. The error wraps ErrPublicKey. It takes about a fifteenth of the time of a
// verification, so callers that use a key often keep its Verifier.
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

// verifyBy verifies one signature by a key that is not decoded yet.
func verifyBy(pub PublicKey, msg []byte, sig Signature) error {
	v, err := NewVerifier(pub)
	if err != nil {
		return err
	}
	return v.Verify(msg, sig)
}
