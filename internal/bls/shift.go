package bls

import "fmt"

// Shift returns k plus by times the generator, where by is a scalar of 32 bytes, big-endian. Keys
// are derived from public keys in this way. The error is ErrScalar, or ErrInfinity if the sum is
// infinity. Shift is not in constant time.
func (k *PublicKey) Shift(by []byte) (*PublicKey, error) {
	step, err := ParseSecretKey(by)
	if err != nil {
		return nil, fmt.Errorf("bls: shift public key: %w", err)
	}
	p := sumG1([]*g1{k.p, step.pub.p})
	if p.isInfinity() {
		return nil, fmt.Errorf("bls: shift public key: %w", ErrInfinity)
	}
	return &PublicKey{p: p, enc: p.encode()}, nil
}
