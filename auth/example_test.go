package auth_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// exampleKey stands for a key from auth.LoadKey, so that the output is always the same.
func exampleKey() *auth.Key { return auth.NewKey([auth.SeedSize]byte{1, 2, 3}) }

func Example() {
	key := exampleKey()
	fmt.Println("store", auth.StoreIDFromKey(key.PublicKey()))

	sig, err := key.Sign(context.Background(), []byte("hello"))
	if err != nil {
		panic(err)
	}
	v, err := auth.NewVerifier(key.PublicKey())
	if err != nil {
		panic(err)
	}
	fmt.Println(v.Verify([]byte("hello"), sig))
	fmt.Println(v.Verify([]byte("hullo"), sig))
	// Output:
	// store c0ac99d8c90b5411126e63841a42b53a7aca17b9e703b9f69ffbd837fccfaee7
	// <nil>
	// signature does not verify
}

func ExampleSignedRoot() {
	ctx, publisher := context.Background(), exampleKey()
	root := merkle.Sum([]byte("a generation"))
	signed, err := auth.SignRoot(ctx, auth.StoreIDFromKey(publisher.PublicKey()), root, publisher)
	if err != nil {
		panic(err)
	}
	fmt.Println(signed.Check())

	signed.Root = merkle.Sum([]byte("another generation"))
	fmt.Println(errors.Is(signed.Check(), auth.ErrSignature))
	// Output:
	// <nil>
	// true
}

// A signature from the wire does not say which of the two forms it is.
func ExampleAcceptRoot() {
	publisher := exampleKey()
	store, root := auth.StoreIDFromKey(publisher.PublicKey()), merkle.Sum([]byte("a generation"))
	signed, err := auth.SignRoot(context.Background(), store, root, publisher)
	if err != nil {
		panic(err)
	}
	got, err := auth.AcceptRoot(store, root, publisher.PublicKey(), signed.Untagged)
	fmt.Println(got.Untagged == signed.Untagged, got.Tagged.IsZero(), err)
	// Output: true true <nil>
}

func ExampleTombstone() {
	publisher := exampleKey()
	bad := merkle.Sum([]byte("a generation to take back"))
	t, err := auth.SignTombstone(context.Background(), auth.Tombstone{
		Store:    auth.StoreIDFromKey(publisher.PublicKey()),
		Root:     bad,
		NotAfter: 1700000000,
		Reason:   auth.Superseded,
	}, publisher)
	if err != nil {
		panic(err)
	}
	record, err := t.MarshalBinary()
	if err != nil {
		panic(err)
	}
	got, err := auth.ParseTombstone(record, t.Sig)
	if err != nil {
		panic(err)
	}
	fmt.Println(len(record), got.Reason, got.Revokes(bad), got.Check(publisher.PublicKey()))
	// Output: 74 superseded true <nil>
}

// Keys print a fingerprint, never the secret.
func ExampleKey_Format() {
	fmt.Printf("%v %+v %x\n", exampleKey(), exampleKey(), exampleKey())
	// Output: bls:c0ac99d8 bls:c0ac99d8 bls:c0ac99d8
}

func ExampleNodeKey() {
	node := auth.NewNodeKey([auth.SeedSize]byte{1, 2, 3})
	sig, err := node.Sign(context.Background(), []byte("hello"))
	if err != nil {
		panic(err)
	}
	fmt.Println(node.ID(), node.PublicKey().Verify([]byte("hello"), sig))
	// Output: dig1221fe5f6859a1a4f <nil>
}
