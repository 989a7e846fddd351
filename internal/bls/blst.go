//go:build cgo

package bls

import (
	"encoding/binary"

	blst "github.com/supranational/blst/bindings/go"
)

// The arithmetic over blst. circl.go has the same names for builds without cgo.

type (
	scalar blst.SecretKey
	g1     blst.P1Affine
	g2     blst.P2Affine
)

// keyGenV3 requires at least 32 bytes.
func keyGenV3(seed []byte) *scalar { return (*scalar)(blst.KeyGenV3(seed)) }

// parseScalar requires 32 bytes, big-endian.
func parseScalar(b []byte) (*scalar, bool) {
	k := new(blst.SecretKey).Deserialize(b) // nil for zero and for values that are not below the order
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

// decodeG1 requires 48 bytes.
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

// decodeG2 requires 96 bytes.
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

// total is a running sum of points of G2. newTotal returns one; the zero value is not valid.
type total blst.P2

func newTotal() *total { return new(total) }

func (t *total) add(p *g2)         { (*blst.P2)(t).AddAssign((*blst.P2Affine)(p)) }
func (t *total) addTotal(o *total) { (*blst.P2)(t).AddAssign((*blst.P2)(o)) } // o may be t
func (t *total) point() *g2        { return (*g2)((*blst.P2)(t).ToAffine()) }

// product is Π e(f·key, H(aug || msg)), computed term by term.
type product struct{ ctx blst.Pairing }

func newProduct(dst []byte) *product { return &product{blst.PairingCtx(true, dst)} }

// add multiplies the product by one term. The factor 1 has no cost.
func (e *product) add(key *g1, factor uint64, msg, aug []byte) {
	const checked = false // the key was checked when it was parsed
	var status int
	if pk := (*blst.P1Affine)(key); factor == 1 {
		status = blst.PairingAggregatePkInG1(e.ctx, pk, checked, nil, checked, msg, aug)
	} else {
		var f blst.Scalar
		var wide [SecretKeySize]byte
		binary.LittleEndian.PutUint64(wide[:], factor)
		f.FromLEndian(wide[:])
		status = blst.PairingMulNAggregatePkInG1(e.ctx, pk, checked, nil, checked, &f, factorBits,
			msg, aug)
	}
	if status != 0 {
		panic("bls: a term was refused") // blst refuses infinity, which no PublicKey is
	}
}

// done completes the product.
func (e *product) done() { blst.PairingCommit(e.ctx) }

// equal reports whether e(G, sum) is the product of parts, which are complete.
func equal(sum *g2, parts ...*product) bool {
	right := blst.PairingAsFp12(parts[0].ctx)
	for _, p := range parts[1:] {
		right.MulAssign(blst.PairingAsFp12(p.ctx))
	}
	left := blst.Fp12MillerLoop((*blst.P2Affine)(sum), blst.P1Generator().ToAffine())
	return blst.Fp12FinalVerify(left, right)
}
