package bls

import "fmt"

// Shift returns k plus by times the generator, where by is a scalar of 32 bytes, big-endian. It is how keys are
// derived from public ones. The error is ErrScalar, or ErrInfinity when the sum is no key. It is not in constant
// time for by.
func (k *PublicKey) Shift(by []byte) (*PublicKey, error) {
	step, err := ParseSecretKey(by)
	if err != nil {
		return nil, fmt.Errorf("bls: shift a public key: %w", err)
	}
	p := sumG1([]*g1{k.p, step.pub.p})
	if p.isInfinity() {
		return nil, fmt.Errorf("bls: shift a public key: %w", ErrInfinity)
	}
	return &PublicKey{p: p, enc: p.encode()}, nil
}
