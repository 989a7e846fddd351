package merkle_test

import (
	"errors"
	"fmt"

	"github.com/dig-network/digstore/merkle"
)

// A server proves one of its resources under a root that the client knows.
func Example() {
	bodies := []string{"first resource", "second", "third"}
	var leaves []merkle.Hash
	for _, b := range bodies {
		leaves = append(leaves, merkle.Sum([]byte(b)))
	}
	trusted := merkle.Root(leaves)

	proof, err := merkle.Prove(leaves, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("as sent:", proof.Check(merkle.Sum([]byte("second")), trusted))
	err = proof.Check(merkle.Sum([]byte("tampered")), trusted)
	fmt.Println("tampered with:", errors.Is(err, merkle.ErrProof))
	// Output:
	// as sent: <nil>
	// tampered with: true
}

// Many proofs come from one tree.
func ExampleTree() {
	leaves := []merkle.Hash{merkle.Sum([]byte("a")), merkle.Sum([]byte("b")), merkle.Sum([]byte("c"))}
	tree := merkle.NewTree(leaves)
	for i, leaf := range leaves {
		p, _ := tree.Prove(i)
		fmt.Println(len(p.Path), p.CheckAt(leaf, tree.Root(), int64(i), int64(tree.Len())))
	}
	// Output:
	// 2 <nil>
	// 2 <nil>
	// 1 <nil>
}

// A proof travels as base64 of its binary form.
func ExampleProof_MarshalBinary() {
	leaf := merkle.Sum([]byte("only"))
	p, _ := merkle.Prove([]merkle.Hash{leaf}, 0)
	b, err := p.MarshalBinary()
	fmt.Println(len(b), err)
	var back merkle.Proof
	fmt.Println(back.UnmarshalBinary(b), back.Leaf == leaf)
	// Output:
	// 68 <nil>
	// <nil> true
}

// Text other than 64 hexadecimal digits is refused.
func ExampleParseHash() {
	_, err := merkle.ParseHash("0xe3b0")
	fmt.Println(err)
	h, err := merkle.ParseHash("E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855")
	fmt.Println(h == merkle.Root(nil), err)
	// Output:
	// parse hash: want 64 hex digits, found 6 characters
	// true <nil>
}
