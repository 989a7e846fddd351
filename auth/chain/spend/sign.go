package spend

import (
	"fmt"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/bls"
)

// NoSignature returns the sum of no signatures.
func NoSignature() auth.Signature { return auth.Signature{0xc0} }

// Sign makes a signature of each message and returns their sum. sign is called in the order of the
// messages, twice for an equal one. An error of sign is returned with the coin and the key; a
// signer without the key returns [ErrMissingKey].
func Sign(messages []Message, sign func(Message) (auth.Signature, error)) (auth.Signature, error) {
	var list []auth.Signature
	for _, m := range messages {
		s, err := sign(m)
		if err != nil {
			return auth.Signature{}, fmt.Errorf("sign for coin %v with key %08x: %w", m.Coin,
				m.Key.Fingerprint(), err)
		}
		list = append(list, s)
	}
	return Combine(list...)
}

// Combine returns the sum of signatures, of which each can be a sum. The error is [ErrSignature]
// if one is malformed.
func Combine(signatures ...auth.Signature) (auth.Signature, error) {
	if len(signatures) == 0 {
		return NoSignature(), nil
	}
	list := make([]*bls.Signature, len(signatures))
	for i, s := range signatures {
		var err error
		if list[i], err = bls.ParseSignature(s[:]); err != nil {
			return auth.Signature{}, fmt.Errorf("%w: signature %d: %w", ErrSignature, i, err)
		}
	}
	sum, err := bls.Aggregate(list)
	if err != nil {
		return auth.Signature{}, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	return sum.Bytes(), nil
}

// Verify checks that a sum has one signature of each message and no other. The error is
// [ErrSignature].
func Verify(messages []Message, sum auth.Signature) error {
	signature, err := bls.ParseSignature(sum[:])
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	if len(messages) == 0 {
		if sum != NoSignature() {
			return fmt.Errorf("%w: want none, since nothing is to be signed", ErrSignature)
		}
		return nil
	}
	keys := make([]*bls.PublicKey, len(messages))
	texts := make([][]byte, len(messages))
	for i, m := range messages {
		if keys[i], err = bls.ParsePublicKey(m.Key[:]); err != nil {
			return fmt.Errorf("%w: key %08x: %w", ErrSignature, m.Key.Fingerprint(), err)
		}
		texts[i] = m.Bytes
	}
	if !bls.AggregateVerify(bls.Augmented, keys, texts, signature) {
		return fmt.Errorf("%w: it is not the sum for the %d messages", ErrSignature, len(messages))
	}
	return nil
}
