package auth_test

import (
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

func BenchmarkSignRoot(b *testing.B) {
	k := auth.NewKey(seed(1))
	for b.Loop() {
		if _, err := auth.SignRoot(b.Context(), auth.StoreID{}, merkle.Hash{}, k); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSignedRootCheck(b *testing.B) {
	r := must(auth.SignRoot(b.Context(), auth.StoreID{}, merkle.Hash{}, auth.NewKey(seed(1))))
	for b.Loop() {
		if err := r.Check(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	k := auth.NewKey(seed(1))
	v := must(auth.NewVerifier(k.PublicKey()))
	msg := make([]byte, 32)
	sig := must(k.Sign(b.Context(), msg))
	for b.Loop() {
		if err := v.Verify(msg, sig); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNodeVerify(b *testing.B) {
	k := auth.NewNodeKey(seed(1))
	msg := make([]byte, 32)
	sig, _ := k.Sign(b.Context(), msg)
	for b.Loop() {
		if err := k.PublicKey().Verify(msg, sig); err != nil {
			b.Fatal(err)
		}
	}
}
