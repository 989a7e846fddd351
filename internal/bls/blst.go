//go:build cgo

package bls

import blst "github.com/supranational/blst/bindings/go"

// The arithmetic over blst. circl.go has the same names for builds without cgo.

type (
	scalar blst.SecretKey
	g1     blst.P1Affine
	g2     blst.P2Affine
)

// keyGenV3 wants at least 32 bytes.
func keyGenV3(seed []byte) *scalar { return (*scalar)(blst.KeyGenV3(seed)) }

// parseScalar wants 32 bytes, big-endian.
func parseScalar(b []byte) (*scalar, bool) {
	k := new(blst.SecretKey).Deserialize(b) // nil for zero and for what is not below the order
	return (*scalar)(k), k != nil
}

func (k *scalar) encode() (out [SecretKeySize]byte) {
	copy(out[:], (*blst.SecretKey)(k).Serialize())
	return out
}

// base returns k times the generator of G1.
func (k *scalar) base() *g1 { return (*g1)(new(blst.P1Affine).From((*blst.SecretKey)(k))) }

// sign returns k times H(aug || msg), in constant time.
func (k *scalar) sign(msg, dst, aug []byte) *g2 {
	return (*g2)(new(blst.P2Affine).Sign((*blst.SecretKey)(k), msg, dst, aug))
}

// decodeG1 wants 48 bytes.
func decodeG1(b []byte) (*g1, error) {
	p := new(blst.P1Affine).Uncompress(b)
	switch {
	case p == nil:
		return nil, ErrEncoding
	case (*g1)(p).isInfinity():
		return nil, ErrInfinity
	case !p.InG1():
		return nil, ErrEncoding
	}
	return (*g1)(p), nil
}

func (p *g1) encode() (out [PublicKeySize]byte) {
	copy(out[:], (*blst.P1Affine)(p).Compress())
	return out
}

func (p *g1) isInfinity() bool { return (*blst.P1Affine)(p).Equals(new(blst.P1Affine)) }

// decodeG2 wants 96 bytes.
func decodeG2(b []byte) (*g2, error) {
	p := new(blst.P2Affine).Uncompress(b)
	if p == nil || !p.InG2() {
		return nil, ErrEncoding
	}
	return (*g2)(p), nil
}

func (p *g2) encode() (out [SignatureSize]byte) {
	copy(out[:], (*blst.P2Affine)(p).Compress())
	return out
}

func (p *g2) isInfinity() bool { return (*blst.P2Affine)(p).Equals(new(blst.P2Affine)) }

func hashToG2(msg, dst, aug []byte) *g2 {
	return (*g2)(blst.HashToG2(msg, dst, aug).ToAffine())
}

func sumG1(points []*g1) *g1 {
	sum := new(blst.P1)
	for _, p := range points {
		sum.AddAssign((*blst.P1Affine)(p))
	}
	return (*g1)(sum.ToAffine())
}

func sumG2(points []*g2) *g2 {
	sum := new(blst.P2)
	for _, p := range points {
		sum.AddAssign((*blst.P2Affine)(p))
	}
	return (*g2)(sum.ToAffine())
}

// product is the equation e(G, Σ f·sig) = Π e(f·key, H(aug || msg)), gathered term by term.
type product struct {
	ctx    blst.Pairing
	failed bool
}

func newProduct(dst []byte) *product { return &product{ctx: blst.PairingCtx(true, dst)} }

// add takes one term into the equation. sig may be nil for a term whose signature is already in
// another one's; factor may be nil for 1 and is little-endian.
func (e *product) add(key *g1, sig *g2, factor *[coefficientSize]byte, msg, aug []byte) {
	const checked = false // key and sig were, when they were parsed
	pk, s := (*blst.P1Affine)(key), (*blst.P2Affine)(sig)
	var status int
	if factor == nil {
		status = blst.PairingAggregatePkInG1(e.ctx, pk, checked, s, checked, msg, aug)
	} else {
		var f blst.Scalar
		var wide [SecretKeySize]byte
		copy(wide[:], factor[:])
		f.FromLEndian(wide[:])
		status = blst.PairingMulNAggregatePkInG1(e.ctx, pk, checked, s, checked, &f, 8*coefficientSize, msg, aug)
	}
	e.failed = e.failed || status != 0
}

// holds ends the gathering and reports whether the two sides are equal.
func (e *product) holds() bool {
	if e.failed {
		return false
	}
	blst.PairingCommit(e.ctx)
	return blst.PairingFinalVerify(e.ctx)
}
