package clvm_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"log"

	"github.com/dig-network/digstore/internal/clvm"
)

// A puzzle that adds 5 to the first item of its solution.
func Example() {
	puzzle, err := hex.DecodeString("ff10ff02ffff010580") // (+ 2 (q . 5))
	if err != nil {
		log.Fatal(err)
	}
	program, err := clvm.Parse(puzzle, nil)
	if err != nil {
		log.Fatal(err)
	}
	hash := program.TreeHash()
	fmt.Printf("puzzle hash %x…\n", hash[:4])
	value, err := clvm.Run(context.Background(), program, clvm.List(clvm.Int(37)), nil)
	if err != nil {
		log.Fatal(err)
	}
	v, ok := value.Int64()
	fmt.Println(v, ok)
	// Output:
	// puzzle hash d18b0897…
	// 42 true
}

// The hash of a curried puzzle needs no program, only hashes.
func ExampleCurryHash() {
	mod := clvm.List(clvm.Int(16), clvm.Int(2), clvm.Int(5)) // (+ 2 5)
	curried := clvm.Curry(mod, clvm.Int(40))
	fmt.Println(curried.TreeHash() == clvm.CurryHash(mod.TreeHash(), clvm.HashAtom([]byte{40})))

	inside, args, ok := curried.Uncurry()
	fmt.Println(inside, args, ok)
	// Output:
	// true
	// ff10ff02ff0580 [28] true
}

// A program that never ends runs into its limits.
func ExampleRun_limits() {
	endless := clvm.List(clvm.Int(2), clvm.Int(1), clvm.Int(1)) // (a 1 1)
	_, err := clvm.Run(context.Background(), endless, endless, &clvm.Limits{Steps: 1000})
	fmt.Println(err)
	// Output: run program, at step 1000: more than 1000 steps: program over its limits
}

// A back-reference names a part that was read before, which is then shared.
func ExampleParse_backReference() {
	n, err := clvm.Parse([]byte{0xff, 0x82, 'h', 'i', 0xfe, 0x02}, nil)
	if err != nil {
		log.Fatal(err)
	}
	left, right, _ := n.Pair()
	fmt.Println(n, left == right)
	// Output: ff826869826869 true
}
