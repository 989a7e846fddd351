package clvm_test

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/internal/vectors"
)

// TestChia is a differential test against Chia's own interpreter, the Python package chia_rs:
// random programs have the same value there, or fail there as well. It runs with DIG_TEST=real
// and needs python3; testdata/chia/run.sh installs the package below the user's cache
// directory.
func TestChia(t *testing.T) {
	vectors.NeedReal(t)
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join("testdata", "chia", "run.sh"),
		filepath.Join(cache, "digstore-test", "chia_rs"))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewScanner(out)
	answers.Buffer(nil, 1<<20)

	ask := func(program, env string) string {
		t.Helper()
		if _, err := io.WriteString(in, program+" "+env+"\n"); err != nil {
			t.Fatal(err)
		}
		if !answers.Scan() {
			t.Fatalf("no answer to %s %s: %v", program, env, answers.Err())
		}
		return answers.Text()
	}

	const programs, seed = 200_000, 1
	g := generator{rand.New(rand.NewPCG(seed, 0))}
	count := map[string]int{}
	for i := 0; i < programs && !t.Failed(); i++ {
		program, env := g.code(1+i%4), g.data(4)
		answer := ask(text(t, program), text(t, env))
		value, err := clvm.Run(context.Background(), program, env, nil)
		switch {
		case errors.Is(err, clvm.ErrUnsupportedOp):
			count["unsupported"]++
		case err != nil:
			count["failed"]++
			if !errors.Is(err, clvm.ErrFailed) || answer[0] != '!' {
				t.Errorf("%v on %v fails here with %v, and there %s", program, env, err, answer)
			}
		default:
			count["a value"]++
			b, err := clvm.Append(nil, value, &clvm.Limits{Input: 1 << 16})
			if err == nil && answer != "= "+hex.EncodeToString(b) {
				t.Errorf("%s on %s is here %x, and there %s", text(t, program), text(t, env), b, answer)
			}
		}
	}
	t.Logf("%d programs against chia_rs 0.53.0, seed %d: %v", programs, seed, count)

	const inputs = 100_000
	clear(count)
	for i := 0; i < inputs && !t.Failed(); i++ {
		in := g.serial()
		answer := ask("01", hex.EncodeToString(in))
		value, err := clvm.Parse(in, nil)
		switch {
		case err != nil:
			count["malformed"]++
			if answer[0] != '!' {
				t.Errorf("%x is here %v, and there %s", in, err, answer)
			}
		case strings.Contains(answer, "non-canonical"):
			count["lengths that newer versions of it refuse"]++
		default:
			count["a program"]++
			if answer != "= "+text(t, value) {
				t.Errorf("%x is here %s, and there %s", in, text(t, value), answer)
			}
		}
	}
	t.Logf("%d serialised programs: %v", inputs, count)
	in.Close()
	if err := cmd.Wait(); err != nil && !t.Failed() {
		t.Fatal(err)
	}
}

// A generator makes random programs, most of which mean something.
type generator struct{ *rand.Rand }

// data makes a value.
func (g generator) data(depth int) *clvm.Node {
	if depth > 0 && g.IntN(3) > 0 {
		return clvm.Pair(g.data(depth-1), g.data(depth-1))
	}
	switch g.IntN(4) {
	case 0:
		return clvm.Int(int64(g.IntN(9)) - 2)
	case 1:
		return clvm.Int(int64(g.Uint64()) >> g.IntN(64))
	case 2:
		return clvm.Text(strings.Repeat("\x00", g.IntN(3)) + strings.Repeat("\xff", g.IntN(3)) +
			"ab"[:g.IntN(3)])
	}
	b := make([]byte, []int{0, 1, 2, 3, 4, 5, 8, 9, 32, 32, 33, 70}[g.IntN(12)])
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	return clvm.Atom(b)
}

// code makes a program.
func (g generator) code(depth int) *clvm.Node {
	quoted := func(n *clvm.Node) *clvm.Node { return clvm.Pair(clvm.Int(1), n) }
	if depth == 0 || g.IntN(8) == 0 {
		if g.IntN(6) == 0 {
			return clvm.Int(int64(g.IntN(16)))
		}
		return quoted(g.data(g.IntN(3) / 2))
	}
	switch g.IntN(20) {
	case 0:
		return clvm.List(clvm.Int(2), quoted(g.code(depth-1)), g.code(depth-1))
	case 1:
		op := clvm.Ops()[g.IntN(len(clvm.Ops()))]
		return clvm.Pair(clvm.List(clvm.Atom([]byte{op})), g.data(depth))
	case 2:
		return g.data(depth)
	}
	op := clvm.Ops()[g.IntN(len(clvm.Ops()))]
	n := clvm.Arity(op)
	if n < 0 || g.IntN(50) == 0 {
		n = []int{0, 1, 2, 2, 3, 4}[g.IntN(6)]
	}
	args := make([]*clvm.Node, n)
	for i := range args {
		args[i] = g.code(depth - 1)
	}
	return clvm.Pair(clvm.Atom([]byte{op}), clvm.List(args...))
}

// serial makes a serialised program with back-references; one in three is broken.
func (g generator) serial() []byte {
	var b []byte
	for open := 1; open > 0 && len(b) < 200; open-- {
		switch g.IntN(8) {
		case 0, 1, 2:
			b = append(b, 0xff)
			open += 2
		case 3, 4:
			b = append(b, 0xfe, byte(g.IntN(0x81)))
		case 5:
			b = append(b, 0xfe, 0x82, byte(g.IntN(4)), byte(g.Uint32()))
		case 6:
			b = append(b, byte(g.IntN(0x81)))
		case 7:
			b = append(b, 0x82, byte(g.Uint32()), byte(g.Uint32()))
		}
	}
	if g.IntN(3) == 0 && len(b) > 0 {
		b[g.IntN(len(b))] = byte(g.Uint32())
	}
	return b
}
