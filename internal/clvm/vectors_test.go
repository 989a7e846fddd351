package clvm_test

import (
	"context"
	"encoding/hex"
	"testing"

	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/internal/vectors"
)

// parse reads a program in hexadecimal digits.
func parse(t testing.TB, b []byte) *clvm.Node {
	t.Helper()
	n, err := clvm.Parse(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// text is the serialised form of a node, in hexadecimal digits.
func text(t testing.TB, n *clvm.Node) string {
	t.Helper()
	b, err := clvm.Append(nil, n, nil)
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(b)
}

func TestOperatorVectors(t *testing.T) {
	const name = "chain-clvm-ops.json"
	var file struct {
		Note, Source string
		Cases        []struct {
			Op     string
			Opcode byte
			Args   []vectors.Hex
			Result *vectors.Hex
		}
	}
	vectors.Load(t, name, &file)
	for i, c := range file.Cases {
		if got := clvm.OpName(c.Opcode); got != c.Op {
			t.Errorf("%d: operator %d is called %q, want %q", i, c.Opcode, got, c.Op)
		}
		args := make([]*clvm.Node, len(c.Args))
		for k, a := range c.Args {
			args[k] = clvm.Pair(clvm.Int(1), parse(t, a))
		}
		program := clvm.Pair(clvm.Atom([]byte{c.Opcode}), clvm.List(args...))
		got, err := clvm.Run(context.Background(), program, clvm.Nil(), nil)
		switch {
		case c.Result == nil && err == nil:
			t.Errorf("%d: (%s %x) = %v, want an error", i, c.Op, c.Args, got)
		case c.Result != nil && err != nil:
			t.Errorf("%d: (%s %x): %v", i, c.Op, c.Args, err)
		case c.Result != nil && text(t, got) != c.Result.String():
			t.Errorf("%d: (%s %x) = %s, want %s", i, c.Op, c.Args, text(t, got), c.Result)
		}
	}
	vectors.Count(t, name, len(file.Cases), 0)
}
