package clvm_test

import (
	"context"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/internal/vectors"
)

// calls counts the SHA-256 calls that the tree hash of a parsed program without shared parts takes,
// by the lengths of what they hash.
func calls(n *clvm.Node) map[int]int {
	count := map[int]int{}
	todo := []*clvm.Node{n}
	for len(todo) > 0 {
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if left, right, ok := n.Pair(); ok {
			count[65]++
			todo = append(todo, left, right)
			continue
		}
		atom, _ := n.Atom()
		count[1+len(atom)]++
	}
	return count
}

// hashMessages hashes as many messages of each length as count says.
func hashMessages(count map[int]int) {
	var buf [4096]byte
	for size, n := range count {
		for range n {
			sum := sha256.Sum256(buf[:size])
			buf[0] = sum[0]
		}
	}
}

// BenchmarkTreeHash compares the tree hash with the bare SHA-256 calls that it consists of:
// metric "of-sha256" is the part of the rate of those which it reaches. The tree is parsed anew
// each time, for a tree keeps its hashes.
func BenchmarkTreeHash(b *testing.B) {
	for _, c := range []struct {
		name string
		tree []byte
	}{
		{"hashes", serial(b, hashes(4096))},
		{"puzzle", puzzle(b, "DELEGATION_LAYER")},
	} {
		b.Run(c.name, func(b *testing.B) {
			count := calls(parse(b, c.tree))
			var trees [8]*clvm.Node
			var bare, whole time.Duration
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if i%len(trees) == 0 {
					b.StopTimer()
					for k := range trees {
						trees[k] = parse(b, c.tree)
					}
					start := time.Now()
					for range trees {
						hashMessages(count)
					}
					bare += time.Since(start)
					b.StartTimer()
				}
				start := time.Now()
				trees[i%len(trees)].TreeHash()
				whole += time.Since(start)
				i++
			}
			batches := (i + len(trees) - 1) / len(trees)
			perTree := float64(bare) / float64(batches*len(trees))
			b.ReportMetric(perTree*float64(i)/float64(whole), "of-sha256")
		})
	}
}

// hashes is a list of n atoms of 32 bytes: nothing about it is known before.
func hashes(n int) *clvm.Node {
	list := clvm.Nil()
	for i := range n {
		sum := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
		list = clvm.Pair(clvm.Atom(sum[:]), list)
	}
	return list
}

func serial(t testing.TB, n *clvm.Node) []byte {
	t.Helper()
	b, err := clvm.Append(nil, n, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// puzzle returns a known puzzle by its name.
func puzzle(t testing.TB, name string) []byte {
	t.Helper()
	var file puzzleFile
	vectors.Load(t, puzzleFileName, &file)
	for _, c := range file.Cases {
		if c.Name == name {
			return c.Program
		}
	}
	t.Fatalf("no puzzle %s among the vectors", name)
	return nil
}

func BenchmarkParse(b *testing.B) {
	in := puzzle(b, "DELEGATION_LAYER")
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := clvm.Parse(in, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRun runs the launcher, which hashes a tree of its own: some 700 steps.
func BenchmarkRun(b *testing.B) {
	program := parse(b, puzzle(b, "SINGLETON_LAUNCHER"))
	env := clvm.List(clvm.Atom(make([]byte, 32)), clvm.Int(1), hashes(8))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := clvm.Run(context.Background(), program, env, nil); err != nil {
			b.Fatal(err)
		}
	}
}
