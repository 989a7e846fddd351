package clvm_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
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
		if got := clvm.Op(c.Op); got != c.Opcode {
			t.Errorf("%d: operator %s has code %d, want %d", i, c.Op, got, c.Opcode)
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

func TestSerialVectors(t *testing.T) {
	const name = "chain-clvm-serde.json"
	var file struct {
		Note, Source string
		Cases        []struct {
			Serialized  vectors.Hex
			TreeHash    vectors.Hex `json:"tree_hash"`
			UsesBackref bool        `json:"uses_backref"`
			OK          bool
			Why         string
		}
	}
	vectors.Load(t, name, &file)
	for i, c := range file.Cases {
		n, err := clvm.Parse(c.Serialized, nil)
		if !c.OK {
			if !errors.Is(err, clvm.ErrMalformed) {
				t.Errorf("%d: %.40s: %s: error %v, want ErrMalformed", i, c.Serialized, c.Why, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%d: %.40s: %v", i, c.Serialized, err)
			continue
		}
		if got := n.TreeHash(); !bytes.Equal(got[:], c.TreeHash) {
			t.Errorf("%d: %.40s: tree hash %x, want %s", i, c.Serialized, got, c.TreeHash)
		}
		if got := text(t, n); (got == c.Serialized.String()) == c.UsesBackref {
			t.Errorf("%d: written again: %.40s, read: %.40s, with back-references: %v", i, got, c.Serialized,
				c.UsesBackref)
		}
	}
	vectors.Count(t, name, len(file.Cases), 0)
}

// puzzleFile is chain-puzzle-treehash.json.
type puzzleFile struct {
	Note, Source string
	Cases        []struct {
		Name, From string
		Program    vectors.Hex
		TreeHash   vectors.Hex `json:"tree_hash"`
	}
}

const puzzleFileName = "chain-puzzle-treehash.json"

func TestPuzzleVectors(t *testing.T) {
	var file puzzleFile
	vectors.Load(t, puzzleFileName, &file)
	names := map[string]bool{}
	for _, c := range file.Cases {
		if c.Name == "" || c.From == "" || names[c.Name] {
			t.Errorf("%q from %q: no name, no source or a second time", c.Name, c.From)
		}
		names[c.Name] = true
		n := parse(t, c.Program)
		if got := n.TreeHash(); !bytes.Equal(got[:], c.TreeHash) {
			t.Errorf("%s: tree hash %x, want %s", c.Name, got, c.TreeHash)
		}
		if got := text(t, n); got != c.Program.String() {
			t.Errorf("%s: written again it differs", c.Name)
		}
	}
	vectors.Count(t, puzzleFileName, len(file.Cases), 0)
}
