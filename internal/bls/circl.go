//go:build !cgo

package bls

import (
	"crypto/hkdf"
	"crypto/sha256"

	circl "github.com/cloudflare/circl/ecc/bls12381"
)

// The arithmetic over circl. blst.go has the same names for builds with cgo.

type (
	scalar circl.Scalar
	g1     circl.G1
	g2     circl.G2
)

// keyGenV3 requires at least 32 bytes.
func keyGenV3(seed []byte) *scalar {
	const size = 48
	ikm := append(append(make([]byte, 0, len(seed)+1), seed...), 0)
	salt, info := []byte("BLS-SIG-KEYGEN-SALT-"), string([]byte{0, size})
	okm, err := hkdf.Key(sha256.New, ikm, salt, info, size)
	if err != nil {
		panic("bls: " + err.Error()) // HKDF with SHA-256 returns 48 bytes
	}
	k := new(circl.Scalar)
	k.SetBytes(okm) // modulo the order
	clear(ikm)
	clear(okm)
	return (*scalar)(k)
}

// parseScalar requires 32 bytes, big-endian.
func parseScalar(b []byte) (*scalar, bool) {
	k := new(circl.Scalar)
	if err := k.UnmarshalBinary(b); err != nil || k.IsZero() == 1 {
		return nil, false
	}
	return (*scalar)(k), true
}

func (k *scalar) encode() (out [SecretKeySize]byte) {
	b, err := (*circl.Scalar)(k).MarshalBinary()
	if err != nil {
		panic("bls: " + err.Error()) // circl always returns nil
	}
	copy(out[:], b)
	return out
}

// base returns k times the generator of G1.
func (k *scalar) base() *g1 {
	p := new(circl.G1)
	p.ScalarMult((*circl.Scalar)(k), circl.G1Generator())
	return (*g1)(p)
}

// sign returns k times H(aug || msg), in constant time.
func (k *scalar) sign(msg, dst, aug []byte) *g2 {
	q := new(circl.G2)
	q.ScalarMult((*circl.Scalar)(k), (*circl.G2)(hashToG2(msg, dst, aug)))
	return (*g2)(q)
}

// compressedFlag marks a compressed encoding; circl also reads uncompressed ones.
const compressedFlag = 0x80

// decodeG1 requires 48 bytes.
func decodeG1(b []byte) (*g1, error) {
	p := new(circl.G1)
	if b[0]&compressedFlag == 0 || p.SetBytes(b) != nil {
		return nil, ErrEncoding
	}
	if p.IsIdentity() {
		return nil, ErrInfinity
	}
	return (*g1)(p), nil
}

func (p *g1) encode() (out [PublicKeySize]byte) {
	copy(out[:], (*circl.G1)(p).BytesCompressed())
	return out
}

func (p *g1) isInfinity() bool { return (*circl.G1)(p).IsIdentity() }

// decodeG2 requires 96 bytes.
func decodeG2(b []byte) (*g2, error) {
	p := new(circl.G2)
	if b[0]&compressedFlag == 0 || p.SetBytes(b) != nil {
		return nil, ErrEncoding
	}
	return (*g2)(p), nil
}

func (p *g2) encode() (out [SignatureSize]byte) {
	copy(out[:], (*circl.G2)(p).BytesCompressed())
	return out
}

func (p *g2) isInfinity() bool { return (*circl.G2)(p).IsIdentity() }

func hashToG2(msg, dst, aug []byte) *g2 {
	if len(aug) != 0 {
		msg = append(append(make([]byte, 0, len(aug)+len(msg)), aug...), msg...)
	}
	p := new(circl.G2)
	p.Hash(msg, dst)
	return (*g2)(p)
}

func sumG1(points []*g1) *g1 {
	sum := new(circl.G1)
	sum.SetIdentity()
	for _, p := range points {
		sum.Add(sum, (*circl.G1)(p))
	}
	return (*g1)(sum)
}

func sumG2(points []*g2) *g2 {
	sum := new(circl.G2)
	sum.SetIdentity()
	for _, p := range points {
		sum.Add(sum, (*circl.G2)(p))
	}
	return (*g2)(sum)
}

// total is a running sum of points of G2. newTotal returns one; the zero value is not valid.
type total circl.G2

func newTotal() *total {
	t := new(circl.G2)
	t.SetIdentity()
	return (*total)(t)
}

func (t *total) add(p *g2) { (*circl.G2)(t).Add((*circl.G2)(t), (*circl.G2)(p)) }
func (t *total) addTotal(o *total) { // o may be t
	(*circl.G2)(t).Add((*circl.G2)(t), (*circl.G2)(o))
}
func (t *total) point() *g2 { return (*g2)(t) }

// product is Π e(f·key, H(aug || msg)), computed term by term.
type product struct {
	dst    []byte
	keys   []*circl.G1
	hashes []*circl.G2
}

func newProduct(dst []byte) *product { return &product{dst: dst} }

// add multiplies the product by one term. The factor 1 has no cost.
func (e *product) add(key *g1, factor uint64, msg, aug []byte) {
	k := (*circl.G1)(key)
	if factor != 1 {
		k = scale(k, factor)
	}
	e.keys = append(e.keys, k)
	e.hashes = append(e.hashes, (*circl.G2)(hashToG2(msg, e.dst, aug)))
}

// scale returns f·p, four bits of f at a time. It is not in constant time. The multiplication of
// circl processes all bits of a full scalar.
func scale(p *circl.G1, f uint64) *circl.G1 {
	var multiples [1 << 4]circl.G1
	multiples[0].SetIdentity()
	for i := 1; i < len(multiples); i++ {
		multiples[i].Add(&multiples[i-1], p)
	}
	out := new(circl.G1)
	out.SetIdentity()
	for shift := factorBits - 4; shift >= 0; shift -= 4 {
		for range 4 {
			out.Double()
		}
		out.Add(out, &multiples[f>>shift&15])
	}
	return out
}

// done completes the product.
func (e *product) done() {}

// equal reports whether e(G, sum) is the product of parts, which are complete.
func equal(sum *g2, parts ...*product) bool {
	keys, hashes, signs := []*circl.G1{circl.G1Generator()}, []*circl.G2{(*circl.G2)(sum)}, []int{1}
	for _, p := range parts {
		for i := range p.keys {
			keys, hashes, signs = append(keys, p.keys[i]), append(hashes, p.hashes[i]), append(signs, -1)
		}
	}
	return circl.ProdPairFrac(keys, hashes, signs).IsIdentity()
}
