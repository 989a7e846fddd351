package clvm_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"math"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/dig-network/digstore/internal/clvm"
)

// lisp reads a program from text: (op arg . tail), names of operators, decimal integers, 0x… bytes.
func lisp(s string) *clvm.Node {
	n, rest := lispItem(strings.Fields(strings.NewReplacer("(", " ( ", ")", " ) ").Replace(s)))
	if len(rest) != 0 {
		panic("more after the program: " + s)
	}
	return n
}

func lispItem(words []string) (*clvm.Node, []string) {
	word, rest := words[0], words[1:]
	if word == "(" {
		return lispTail(rest)
	}
	if b, err := hex.DecodeString(strings.TrimPrefix(word, "0x")); err == nil &&
		strings.HasPrefix(word, "0x") {
		return clvm.Atom(b), rest
	}
	if v, err := strconv.ParseInt(word, 10, 64); err == nil {
		return clvm.Int(v), rest
	}
	if op := clvm.Op(word); op != 0 {
		return clvm.Atom([]byte{op}), rest
	}
	panic("no word of a program: " + word)
}

func lispTail(words []string) (*clvm.Node, []string) {
	switch words[0] {
	case ")":
		return clvm.Nil(), words[1:]
	case ".":
		n, rest := lispItem(words[1:])
		return n, rest[1:]
	}
	left, words := lispItem(words)
	right, words := lispTail(words)
	return clvm.Pair(left, right), words
}

func TestRun(t *testing.T) {
	coin := "0x" + strings.Repeat("11", 32) + " 0x" + strings.Repeat("22", 32)
	for _, c := range []struct {
		program, env, want string
		err                error
	}{
		{program: "(q . (1 2))", want: "(1 2)"},
		{program: "1", env: "(7 8)", want: "(7 8)"},
		{program: "2", env: "(7 8)", want: "7"},
		{program: "5", env: "(7 8)", want: "8"},
		{program: "0x0005", env: "(7 8)", want: "8"}, // leading zeros of a path are nothing
		{program: "0", env: "(7 8)", want: "0"},
		{program: "0x0000", env: "(7 8)", want: "0"},
		{program: "0x0100", env: "((((((((3 . 0))))))))", want: "3"}, // eight times left
		{program: "4", env: "(7 8)", err: clvm.ErrFailed},
		{program: "(a (q . (+ 2 5)) 1)", env: "(7 8)", want: "15"},
		{program: "(a (q . 2) (q . (9)))", want: "9"},
		{program: "(a 1)", env: "(7 8)", err: clvm.ErrFailed},
		{program: "((c) 1 2)", env: "(7 8)", want: "(1 . 2)"}, // arguments as they stand
		{program: "((+) 1 2 . 3)", env: "(7 8)", want: "3"},   // whatever ends them
		{program: "((a) (q . 5) 9)", env: "(7 8)", want: "5"}, // also those of a
		{program: "((c . 7) 1 2)", env: "0", want: "(1 . 2)"},
		{program: "((c 1) 1 2)", env: "0", err: clvm.ErrFailed}, // nothing beside the operator
		{program: "(((c)) 1 2)", env: "0", err: clvm.ErrFailed},
		{program: "(+ 1 1 . 1)", env: "0", err: clvm.ErrFailed},
		{program: "((q) 1)", err: clvm.ErrUnsupportedOp},
		{program: "(0 1)", err: clvm.ErrUnsupportedOp},
		{program: "(15 1)", err: clvm.ErrUnsupportedOp},
		{program: "(29 1)", err: clvm.ErrUnsupportedOp},
		{program: "(36 1)", err: clvm.ErrUnsupportedOp},
		{program: "(62 1)", err: clvm.ErrUnsupportedOp},
		{program: "(0x0002 (q . 1) 1)", err: clvm.ErrUnsupportedOp},
		{program: "(0x13d61f00 1)", err: clvm.ErrUnsupportedOp},
		{program: "(i (q . 0) (x) (q . 5))", err: clvm.ErrFailed}, // both branches are evaluated
		{program: "(% (q . -7) (q . 3))", want: "2"},
		{program: "(% (q . 7) (q . -3))", want: "-2"},
		{program: "(% (q . 7) (q . 0))", err: clvm.ErrFailed},
		{program: "((%) 7)", err: clvm.ErrFailed},
		{program: "((coinid) " + coin + " 0)", want: "0x5189c77d29fe5d546a045ec46986852785fea5c13ac7da9c115ff5fb6edf817c"},
		{program: "((coinid) " + coin + " 1)", want: "0x4a9fde315fe45879b6d5e2ab6ae6582c9909b96c1197602efc6679eb17157d99"},
		{program: "((coinid) " + coin + " 0x00ffffffffffffffff)", want: "0x3ef8011d9bbe0a3e37b7485c6e316a9cd3aac32f213beac9b766aa71b6cb6c0d"},
		{program: "((coinid) " + coin + " 0x00)", err: clvm.ErrFailed},
		{program: "((coinid) " + coin + " 0x0001)", err: clvm.ErrFailed},
		{program: "((coinid) " + coin + " -1)", err: clvm.ErrFailed},
		{program: "((coinid) " + coin + " 0x010000000000000000)", err: clvm.ErrFailed},
		{program: "((coinid) 1 2 3)", err: clvm.ErrFailed},
	} {
		if c.env == "" {
			c.env = "0"
		}
		got, err := clvm.Run(context.Background(), lisp(c.program), lisp(c.env), nil)
		switch {
		case !errors.Is(err, c.err):
			t.Errorf("%s on %s: error %v, want %v", c.program, c.env, err, c.err)
		case err == nil && text(t, got) != text(t, lisp(c.want)):
			t.Errorf("%s on %s = %v, want %s", c.program, c.env, got, c.want)
		}
	}
}

// Programs that never end, each of which runs into another limit.
func TestRunLimits(t *testing.T) {
	var (
		spin   = lisp("(a 1 1)")
		wrap   = clvm.Nil()
		grown  = strings.Repeat("(f ", 2000) + "1" + strings.Repeat(")", 2000)
		cyclic = func(body string) *clvm.Node {
			return clvm.Pair(lisp("(a 2 (c 2 "+body+"))"), clvm.Int(77))
		}
	)
	for range 2000 {
		wrap = clvm.Pair(wrap, clvm.Nil())
	}
	for _, c := range []struct {
		name         string
		program, env *clvm.Node
		limits       *clvm.Limits
		err          error
		says         string
	}{
		{"steps", spin, spin, &clvm.Limits{Steps: 1_000_000}, clvm.ErrTooLarge, "1000000 steps"},
		{"depth", lisp("(c (a 1 1) 1)"), lisp("(c (a 1 1) 1)"), nil, clvm.ErrTooLarge, "10000 nested operators"},
		{"depth of the code", lisp(grown), wrap, &clvm.Limits{Depth: 1999}, clvm.ErrTooLarge, "1999 nested operators"},
		{"depth that is allowed", lisp(grown), wrap, &clvm.Limits{Depth: 2000}, nil, ""},
		{"concat", lisp("(a 2 1)"), cyclic("(concat 3 3)"), nil, clvm.ErrTooLarge, "bytes"},
		{"pairs", lisp("(a 2 1)"), cyclic("(c 3 3)"), &clvm.Limits{Bytes: 1 << 20}, clvm.ErrTooLarge, "bytes of new nodes"},
		{"product", lisp("(a 2 1)"), cyclic("(* 3 3)"), &clvm.Limits{Integer: 1000}, clvm.ErrTooLarge, "product of"},
		{"sum", lisp("(a 2 1)"), cyclic("(+ 3 3)"), &clvm.Limits{Integer: 1000}, clvm.ErrTooLarge, "result of 1001 bytes"},
		{"shift", lisp("(a 2 1)"), cyclic("(ash 3 (q . 65535))"), &clvm.Limits{Integer: 100_000}, clvm.ErrTooLarge, "result of"},
		{"operand", lisp("(lognot (concat 1 1))"), clvm.Atom(make([]byte, 501)), &clvm.Limits{Integer: 1001}, clvm.ErrTooLarge, "integer of 1002 bytes"},
		{"reading", lisp("(a 2 1)"), clvm.Pair(lisp("(a 2 (c 2 (a (q . 3) (c (sha256 3) 3))))"), clvm.Atom(make([]byte, 1<<20))), &clvm.Limits{Steps: 1_000_000}, clvm.ErrTooLarge, "steps"},
	} {
		_, err := clvm.Run(context.Background(), c.program, c.env, c.limits)
		if !errors.Is(err, c.err) || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v, want %v that says %q", c.name, err, c.err, c.says)
		}
	}
}

// A lateContext ends when it was looked at a number of times.
type lateContext struct {
	context.Context
	looks int
}

func (c *lateContext) Err() error {
	if c.looks--; c.looks < 0 {
		return context.Canceled
	}
	return nil
}

func TestRunLooksAtContext(t *testing.T) {
	spin := lisp("(a 1 1)")
	ctx := &lateContext{context.Background(), 10}
	_, err := clvm.Run(ctx, spin, spin, nil)
	at := "at step " + strconv.Itoa(10*4096+1) + ":"
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), at) {
		t.Fatalf("error %v, want context.Canceled after ten times 4096 steps", err)
	}
}

// doubled is the serialised form of a pair of twins, of twins, … n levels deep, over the atom 1.
func doubled(n int) []byte {
	b := append(bytes.Repeat([]byte{0xff}, n), 1)
	return append(b, bytes.Repeat([]byte{0xfe, 0x02}, n)...)
}

func TestSharedParts(t *testing.T) {
	n := parse(t, doubled(1000))
	want := clvm.HashAtom([]byte{1})
	for range 1000 {
		want = clvm.HashPair(want, want)
	}
	if got := n.TreeHash(); got != want {
		t.Errorf("tree hash %x, want %x", got, want)
	}
	kept := []byte("kept")
	out, err := clvm.Append(kept, n, &clvm.Limits{Input: 1 << 16})
	if !errors.Is(err, clvm.ErrTooLarge) || string(out) != "kept" {
		t.Errorf("written out: %d bytes and error %v, want ErrTooLarge", len(out), err)
	}
	if s := n.String(); len(s) > 100 {
		t.Errorf("as text it has %d bytes", len(s))
	}

	// A long atom that many pairs share is hashed once: a thousand million bytes otherwise.
	long := clvm.Atom(make([]byte, 1<<20))
	list := clvm.Nil()
	for range 1000 {
		list = clvm.Pair(long, list)
	}
	list.TreeHash()
}

func TestDeepTrees(t *testing.T) {
	const depth = 200_000
	left := append(bytes.Repeat([]byte{0xff}, depth), bytes.Repeat([]byte{0x80}, depth+1)...)
	right := append(bytes.Repeat([]byte{0xff, 0x80}, depth), 0x80)
	for _, in := range [][]byte{left, right} {
		n := parse(t, in)
		n.TreeHash()
		if got := serial(t, n); !bytes.Equal(got, in) {
			t.Errorf("a tree of depth %d is written as %d bytes, read from %d", depth, len(got), len(in))
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct {
		in     string
		limits *clvm.Limits
		err    error
		says   string
	}{
		{"8080", nil, clvm.ErrMalformed, "1 bytes follow"},
		{"ff80", nil, clvm.ErrMalformed, "ends within a program"},
		{"fbffffffff00", nil, clvm.ErrMalformed, "17179869183 bytes, found 1"},
		{"fc0000000000", nil, clvm.ErrMalformed, "byte fc begins no atom"},
		{"f8000000", nil, clvm.ErrMalformed, "within a length"},
		{"fe", nil, clvm.ErrMalformed, "without a path"},
		{"fefe01", nil, clvm.ErrMalformed, "without a path"},
		{"feff0101", nil, clvm.ErrMalformed, "without a path"},
		{"ff01fe04", nil, clvm.ErrMalformed, "leads into an atom"},
		{"808080", &clvm.Limits{Input: 2}, clvm.ErrTooLarge, "want at most 2"},
		{"ff0101", &clvm.Limits{Nodes: 2}, clvm.ErrTooLarge, "more nodes"},
		{"ff0101", &clvm.Limits{Nodes: 3}, nil, ""},
		{"ff01fe01", &clvm.Limits{Nodes: 2}, clvm.ErrTooLarge, "more nodes"}, // the list is a pair
		{"ff01fe80", nil, nil, ""},                                           // the path 0
		{"c001aa", nil, nil, ""},                                             // a longer length than needed
		{"f80000000141", nil, nil, ""},                                       // even a far longer one
		{"81" + "05", nil, nil, ""},                                          // a small atom with a length
		{"ffff0102fe06", nil, nil, ""},                                       // into a pair that is done
	} {
		in, _ := hex.DecodeString(c.in)
		_, err := clvm.Parse(in, c.limits)
		if !errors.Is(err, c.err) || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v, want %v that says %q", c.in, err, c.err, c.says)
		}
	}
}

func TestBackReferences(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"ff01fe01", "(1 1)"},             // the whole list of what is done
		{"ff05ff06fe02", "(5 6 . 6)"},     // the newest
		{"ff05ff06fe05", "(5 6 . 5)"},     // the one before it
		{"ff05ff06fe03", "(5 6 5)"},       // the list from there
		{"ffff0102fe04", "((1 . 2) . 1)"}, // into a pair that is complete
		{"ff05ff06ff07fe01", "(5 6 7 7 6 5)"},
		{"ff05ffff06fe01fe01", "(5 (6 6 5) (6 6 5) 5)"}, // the list changes as pairs are made
		{"ff05fe8100", "(5)"},
	} {
		in, _ := hex.DecodeString(c.in)
		if got, want := text(t, parse(t, in)), text(t, lisp(c.want)); got != want {
			t.Errorf("%s = %s, want %s", c.in, got, want)
		}
	}
}

func TestCurry(t *testing.T) {
	mod, args := lisp("(+ 2 5 11)"), []*clvm.Node{lisp("(q . 5)"), clvm.Int(-300), clvm.Nil()}
	for n := range len(args) + 1 {
		curried := clvm.Curry(mod, args[:n]...)
		hashes := make([][32]byte, n)
		for i := range n {
			hashes[i] = args[i].TreeHash()
		}
		if got, want := clvm.CurryHash(mod.TreeHash(), hashes...), curried.TreeHash(); got != want {
			t.Errorf("%d arguments: CurryHash %x, tree hash %x", n, got, want)
		}
		back, found, ok := curried.Uncurry()
		if !ok || back != mod || len(found) != n {
			t.Fatalf("%d arguments: %d found, %v", n, len(found), ok)
		}
		for i := range n {
			if found[i] != args[i] {
				t.Errorf("%d arguments: number %d differs", n, i)
			}
		}
	}
	got, err := clvm.Run(context.Background(), clvm.Curry(mod, clvm.Int(1), clvm.Int(2)), lisp("(3)"),
		nil)
	if err != nil || text(t, got) != "06" {
		t.Errorf("1 + 2 + 3 = %v, %v", got, err)
	}
}

func TestNotCurried(t *testing.T) {
	for _, s := range []string{
		"0", "(a (q . 5))", "(a (q . 5) 1 1)", "(a (q . 5) 1 . 1)", "(c (q . 5) 1)", "(a 5 1)", "(a (a . 5) 1)", "(a (q . 5) 2)", "(a (q . 5) 0x0001)",
		"(a (q . 5) (c (q . 6) 2))", "(a (q . 5) (c (q . 6) 1 1))", "(a (q . 5) (c 6 1))", "(a (q . 5) (a (q . 6) 1))", "(a (q . 5) (c (q . 6) 1 . 1))", "((a) (q . 5) 1)",
	} {
		if mod, args, ok := lisp(s).Uncurry(); ok || mod != nil || args != nil {
			t.Errorf("%s: taken for %v with %v", s, mod, args)
		}
	}
}

func TestIntegers(t *testing.T) {
	for _, c := range []struct {
		v    int64
		atom string
	}{
		{0, ""}, {1, "01"}, {-1, "ff"}, {127, "7f"}, {128, "0080"}, {-128, "80"}, {-129, "ff7f"}, {255, "00ff"}, {256, "0100"}, {-256, "ff00"},
		{-113, "8f"}, {math.MaxInt64, "7fffffffffffffff"}, {math.MinInt64, "8000000000000000"},
	} {
		atom, _ := clvm.Int(c.v).Atom()
		if hex.EncodeToString([]byte(atom)) != c.atom {
			t.Errorf("%d is %x, want %s", c.v, atom, c.atom)
		}
		for _, pad := range []string{"", "\x00\x00", "\xff\xff"} {
			if (pad == "\xff\xff") != (c.v < 0) && pad != "" {
				continue
			}
			if v, ok := clvm.Text(pad + atom).Int64(); !ok || v != c.v {
				t.Errorf("%x%x means %d, %v; want %d", pad, atom, v, ok, c.v)
			}
		}
		if v, ok := clvm.Int(c.v).Uint64(); ok != (c.v >= 0) || ok && v != uint64(c.v) {
			t.Errorf("%s without a sign means %d, %v", c.atom, v, ok)
		}
	}
	most := clvm.Uint(math.MaxUint64)
	if v, ok := most.Uint64(); !ok || v != math.MaxUint64 {
		t.Errorf("the most that fits is read as %d, %v", v, ok)
	}
	if _, ok := most.Int64(); ok {
		t.Error("it fits an int64 as well")
	}
	if _, ok := lisp("0x010000000000000000").Uint64(); ok {
		t.Error("nine bytes fit eight")
	}
	if _, ok := lisp("(1)").Uint64(); ok {
		t.Error("a pair is an integer")
	}
}

func TestLists(t *testing.T) {
	list := lisp("(1 2 3)")
	if items, rest, ok := list.Take(2); !ok || len(items) != 2 || text(t, rest) != "ff0380" {
		t.Errorf("two of (1 2 3): %v and %v, %v", items, rest, ok)
	}
	for k, want := range []bool{false, false, false, true, false} {
		if _, ok := list.Exactly(k); ok != want {
			t.Errorf("(1 2 3) has exactly %d items: %v", k, ok)
		}
	}
	if _, ok := lisp("(1 . 2)").Exactly(1); ok {
		t.Error("(1 . 2) is a list of one")
	}
	n := 0
	for range lisp("(1 2 . 3)").Items() {
		n++
	}
	if n != 2 {
		t.Errorf("(1 2 . 3) has %d items", n)
	}
}

func TestConcurrentHashing(t *testing.T) {
	n := parse(t, serial(t, hashes(2000)))
	want := parse(t, serial(t, n)).TreeHash()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if got := n.TreeHash(); got != want {
				t.Errorf("tree hash %x, want %x", got, want)
			}
		})
	}
	wg.Wait()
}
