package bls_test

import (
	"crypto/rand"
	"fmt"

	"github.com/dig-network/digstore/internal/bls"
)

func Example() {
	sk, err := bls.KeyGenV3(make([]byte, 32)) // a seed, here all zeros
	if err != nil {
		panic(err)
	}
	sig := sk.Sign(bls.Augmented, []byte("hello"))

	pub := sk.PublicKey().Bytes()
	key, err := bls.ParsePublicKey(pub[:])
	if err != nil {
		panic(err)
	}
	fmt.Printf("%x\n", pub[:8])
	fmt.Println(key.Verify(bls.Augmented, []byte("hello"), sig))
	fmt.Println(key.Verify(bls.Augmented, []byte("hullo"), sig))
	// Output:
	// 85695fcbc06cc4c4
	// true
	// false
}

func ExampleVerifyBatch() {
	sk, err := bls.KeyGenV3(make([]byte, 32))
	if err != nil {
		panic(err)
	}
	var claims []bls.Claim
	for _, msg := range []string{"one", "two", "three"} {
		claims = append(claims, bls.Claim{Key: sk.PublicKey(), Message: []byte(msg),
			Signature: sk.Sign(bls.Augmented, []byte(msg))})
	}
	claims[1].Message = []byte("too")
	ok, err := bls.VerifyBatch(bls.Augmented, claims, rand.Reader)
	fmt.Println(ok, err)
	// Output: [true false true] <nil>
}
