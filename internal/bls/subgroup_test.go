package bls_test

import (
	"errors"
	"math/big"
	"testing"

	"github.com/dig-network/digstore/internal/bls"
)

// TestSubgroup: points of the curves that lie outside the subgroups of prime order are no keys
// and no signatures. Nearly all points are such, so those with the least x coordinates are
// taken: x is one when x³+4 is a square, for G2 x³+4+4i, which is one when its norm is.
func TestSubgroup(t *testing.T) {
	onG1, onG2 := 0, 0
	for x := int64(1); x < 60; x++ {
		right := big.NewInt(x*x*x + 4)
		if big.Jacobi(right, fieldOrder) == 1 {
			onG1++
			var b [bls.PublicKeySize]byte
			b[0], b[len(b)-1] = 0x80, byte(x) // compressed
			if _, err := bls.ParsePublicKey(b[:]); !errors.Is(err, bls.ErrEncoding) {
				t.Errorf("key with x = %d: %v, want %v", x, err, bls.ErrEncoding)
			}
		}
		norm := new(big.Int).Mul(right, right)
		if big.Jacobi(norm.Add(norm, big.NewInt(16)), fieldOrder) == 1 {
			onG2++
			var b [bls.SignatureSize]byte
			b[0], b[len(b)-1] = 0x80, byte(x)
			if _, err := bls.ParseSignature(b[:]); !errors.Is(err, bls.ErrEncoding) {
				t.Errorf("signature with x = %d: %v, want %v", x, err, bls.ErrEncoding)
			}
		}
	}
	if onG1 < 10 || onG2 < 10 {
		t.Errorf("only %d points of G1 and %d of G2 were tried", onG1, onG2)
	}
}
