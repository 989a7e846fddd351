package clvm_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/dig-network/digstore/internal/clvm"
)

// seeds are serialised programs of every kind that the format has.
var seeds = []string{
	"80", "01", "81ff", "ff0102", "fffe0100", "ffff01ff02ff03ff0480fe02", "ff05ffff06fe01fe01", "ff01fe80", "fd", "fefe", "ff",
	"ff02ff01ff0180", "ff10ff02ffff010580", "ffff0480ff01ff02", "ff14ffff0107ffff01fd80", "ff16ffff0107ffff0182ffff80",
}

func addSeeds(f *testing.F) {
	for _, s := range seeds {
		b, _ := hex.DecodeString(s)
		f.Add(b)
	}
	f.Add(doubled(40))
}

// naiveHash is the tree hash by its definition.
func naiveHash(n *clvm.Node) [32]byte {
	if left, right, ok := n.Pair(); ok {
		return clvm.HashPair(naiveHash(left), naiveHash(right))
	}
	atom, _ := n.Atom()
	return clvm.HashAtom([]byte(atom))
}

// FuzzParse: what is read can be written and read again, and stays the same. Where it is not too
// large to be written out, its hash is that of the definition.
func FuzzParse(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		limits := &clvm.Limits{Input: 1 << 12}
		n, err := clvm.Parse(in, &clvm.Limits{Nodes: 1 << 12})
		if err != nil {
			if !errors.Is(err, clvm.ErrMalformed) && !errors.Is(err, clvm.ErrTooLarge) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		hash := n.TreeHash()
		out, err := clvm.Append(nil, n, limits)
		if err != nil {
			return // shared parts, written out
		}
		again, err := clvm.Parse(out, nil)
		if err != nil {
			t.Fatalf("%x, read from %x, cannot be read: %v", out, in, err)
		}
		if again.TreeHash() != hash || naiveHash(again) != hash {
			t.Fatalf("%x and %x have different hashes", in, out)
		}
		if third := serial(t, again); !bytes.Equal(out, third) {
			t.Fatalf("%x is written as %x", out, third)
		}
	})
}

// FuzzRun: no program panics, outlives its limits or fails without a reason, and the same program
// always has the same value.
func FuzzRun(f *testing.F) {
	addSeeds(f)
	f.Add(serial(f, clvm.Pair(lisp("(a 2 1)"), clvm.Pair(lisp("(a 2 (c 2 (* 3 3)))"), clvm.Int(77)))))
	f.Fuzz(func(t *testing.T, in []byte) {
		both, err := clvm.Parse(in, &clvm.Limits{Nodes: 1 << 12})
		if err != nil {
			return
		}
		program, env, ok := both.Pair()
		if !ok {
			program, env = both, both
		}
		limits := &clvm.Limits{Steps: 50_000, Depth: 100, Bytes: 1 << 20, Integer: 1 << 10}
		first, err := clvm.Run(context.Background(), program, env, limits)
		if err != nil {
			if !errors.Is(err, clvm.ErrFailed) && !errors.Is(err, clvm.ErrUnsupportedOp) &&
				!errors.Is(err, clvm.ErrTooLarge) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		second, err := clvm.Run(context.Background(), program, env, limits)
		if err != nil || first.TreeHash() != second.TreeHash() {
			t.Fatalf("run again: %v, %v; before: %v", second, err, first)
		}
	})
}

// FuzzOperator: every operator on any arguments has a value or a reason.
func FuzzOperator(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		args, err := clvm.Parse(in, &clvm.Limits{Nodes: 1 << 10})
		if err != nil {
			return
		}
		for _, op := range clvm.Ops() {
			program := clvm.Pair(clvm.List(clvm.Atom([]byte{op})), args)
			_, err := clvm.Run(context.Background(), program, clvm.Nil(), &clvm.Limits{Steps: 10_000})
			if err != nil && !errors.Is(err, clvm.ErrFailed) && !errors.Is(err, clvm.ErrUnsupportedOp) &&
				!errors.Is(err, clvm.ErrTooLarge) {
				t.Fatalf("operator %d: an error of another kind: %v", op, err)
			}
		}
	})
}

// FuzzSharedHash builds trees whose parts are shared: each byte makes a node of earlier ones. Their
// hashes are kept here by place, and by the nodes themselves.
func FuzzSharedHash(f *testing.F) {
	f.Add([]byte{0x00, 0x11, 0x22, 0x33, 0x01, 0xff, 0x76})
	f.Fuzz(func(t *testing.T, in []byte) {
		nodes := []*clvm.Node{clvm.Nil(), clvm.Int(1), clvm.Int(-300), clvm.Atom(make([]byte, 32)),
			clvm.Atom(make([]byte, 63)), clvm.Atom(make([]byte, 200))}
		var want [][32]byte
		for _, n := range nodes {
			want = append(want, naiveHash(n))
		}
		for i, b := range in[:min(len(in), 1000)] {
			l, r := len(nodes)-1-int(b>>4)%len(nodes), len(nodes)-1-int(b&15)%len(nodes)
			nodes = append(nodes, clvm.Pair(nodes[l], nodes[r]))
			want = append(want, clvm.HashPair(want[l], want[r]))
			if b%7 == 0 && nodes[len(nodes)-1].TreeHash() != want[len(want)-1] {
				t.Fatalf("node %d has another hash when it is asked for early", i)
			}
		}
		if got := nodes[len(nodes)-1].TreeHash(); got != want[len(want)-1] {
			t.Fatalf("tree hash %x, want %x", got, want[len(want)-1])
		}
	})
}

// TestArithmetic compares the operators on integers with math/big, on operands of any length and in
// any form.
func TestArithmetic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "a")
		b := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "b")
		x, y := integer(a), integer(b)
		for op, want := range map[string]*big.Int{
			"+": new(big.Int).Add(x, y), "-": new(big.Int).Sub(x, y), "*": new(big.Int).Mul(x, y),
			"logand": new(big.Int).And(x, y), "logior": new(big.Int).Or(x, y), "logxor": new(big.Int).Xor(x, y),
		} {
			if got := apply(t, op, a, b); got.Cmp(want) != 0 {
				t.Errorf("(%s %x %x) = %v, want %v", op, a, b, got, want)
			}
		}
		if y.Sign() == 0 {
			return
		}
		q, r := apply(t, "/", a, b), apply(t, "%", a, b)
		if sum := new(big.Int).Mul(q, y); sum.Add(sum, r).Cmp(x) != 0 || r.CmpAbs(y) >= 0 ||
			r.Sign()*y.Sign() < 0 {
			t.Errorf("%v divided by %v is %v and %v over", x, y, q, r)
		}
	})
}

// integer reads two's complement in another way than the package does.
func integer(b []byte) *big.Int {
	v := new(big.Int)
	for i, d := range b {
		digit := int64(d)
		if i == 0 {
			digit = int64(int8(d))
		}
		v.Add(v.Lsh(v, 8), big.NewInt(digit))
	}
	return v
}

// apply applies an operator and checks that the value is in its shortest form.
func apply(t *rapid.T, op string, args ...[]byte) *big.Int {
	nodes := make([]*clvm.Node, len(args))
	for i, a := range args {
		nodes[i] = clvm.Atom(a)
	}
	program := clvm.Pair(clvm.List(clvm.Atom([]byte{clvm.Op(op)})), clvm.List(nodes...))
	got, err := clvm.Run(context.Background(), program, clvm.Nil(), nil)
	if err != nil {
		t.Fatalf("(%s %x): %v", op, args, err)
	}
	atom, ok := got.Atom()
	v := integer([]byte(atom))
	if short := len(v.Bytes()); !ok || len(atom) > 0 && integer([]byte(atom[1:])).Cmp(v) == 0 ||
		len(atom) < short {
		t.Fatalf("(%s %x) is %v, not an integer in its shortest form", op, args, got)
	}
	return v
}
