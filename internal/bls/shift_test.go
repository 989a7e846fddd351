package bls_test

import (
	"encoding/hex"
	"errors"
	"testing"

	"github.com/dig-network/digstore/internal/bls"
)

// Shifting the public half is adding to the secret half: a·G + b·G = (a+b)·G.
func TestShift(t *testing.T) {
	scalar := func(last byte) []byte { return append(make([]byte, bls.SecretKeySize-1), last) }
	key := func(last byte) *bls.PublicKey {
		sk, err := bls.ParseSecretKey(scalar(last))
		if err != nil {
			t.Fatal(err)
		}
		return sk.PublicKey()
	}
	got, err := key(3).Shift(scalar(4))
	if err != nil {
		t.Fatal(err)
	}
	if want := key(7).Bytes(); got.Bytes() != want {
		t.Errorf("3·G shifted by 4 is %x, want %x", got.Bytes(), want)
	}
	if doubled, err := key(5).Shift(scalar(5)); err != nil || doubled.Bytes() != key(10).Bytes() {
		t.Errorf("5·G shifted by 5: %v, want 10·G", err)
	}
	order, _ := hex.DecodeString("73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001")
	minusThree,
		_ := hex.DecodeString("73eda753299d7d483339d80809a1d80553bda402fffe5bfefffffffefffffffe")
	if _, err := key(3).Shift(minusThree); !errors.Is(err, bls.ErrInfinity) {
		t.Errorf("3·G shifted by -3: %v, want ErrInfinity", err)
	}
	for _, bad := range [][]byte{nil, scalar(0), order, scalar(1)[1:]} {
		if _, err := key(3).Shift(bad); !errors.Is(err, bls.ErrScalar) {
			t.Errorf("shifted by %x: %v, want ErrScalar", bad, err)
		}
	}
}
