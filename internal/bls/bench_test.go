package bls_test

import (
	"crypto/rand"
	"fmt"
	"testing"

	"github.com/dig-network/digstore/internal/bls"
)

func BenchmarkSign(b *testing.B) {
	sk, err := bls.KeyGenV3(make([]byte, 32))
	if err != nil {
		b.Fatal(err)
	}
	msg := make([]byte, 32)
	for b.Loop() {
		sk.Sign(bls.Augmented, msg)
	}
}

func BenchmarkParsePublicKey(b *testing.B) {
	enc := claims(b, 1)[0].Key.Bytes()
	for b.Loop() {
		if _, err := bls.ParsePublicKey(enc[:]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseSignature(b *testing.B) {
	enc := claims(b, 1)[0].Signature.Bytes()
	for b.Loop() {
		if _, err := bls.ParseSignature(enc[:]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	c := claims(b, 1)[0]
	for b.Loop() {
		if !c.Key.Verify(bls.Augmented, c.Message, c.Signature) {
			b.Fatal("does not verify")
		}
	}
}

// BenchmarkVerify64 answers for 64 claims: one by one, and in batches with false ones among them.
func BenchmarkVerify64(b *testing.B) {
	cs := claims(b, 64)
	b.Run("one by one", func(b *testing.B) {
		for b.Loop() {
			for _, c := range cs {
				c.Key.Verify(bls.Augmented, c.Message, c.Signature)
			}
		}
	})
	for _, bad := range []int{0, 1, 64} {
		b.Run(fmt.Sprintf("batch with %d false", bad), func(b *testing.B) {
			cs := append([]bls.Claim(nil), cs...)
			for i := range bad {
				cs[(i+17)%len(cs)].Message = nil
			}
			for b.Loop() {
				if _, err := bls.VerifyBatch(bls.Augmented, cs, rand.Reader); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
