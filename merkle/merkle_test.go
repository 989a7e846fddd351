package merkle_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

// fold is the tree as the spec words it, level by level.
func fold(level []merkle.Hash) merkle.Hash {
	if len(level) == 0 {
		return merkle.Sum(nil)
	}
	for len(level) > 1 {
		var next []merkle.Hash
		for i := 0; i < len(level); i += 2 {
			if i+1 < len(level) {
				next = append(next, merkle.Node(level[i], level[i+1]))
			} else {
				next = append(next, level[i])
			}
		}
		level = next
	}
	return level[0]
}

// Every leaf of every size proves, and nothing else does: no flipped bit, no
// step too few or too many, no other place.
func TestEveryLeafProves(t *testing.T) {
	all := nths(301)
	bits, stride := 16, 16 // flips per proof; of larger trees one leaf in so many
	if vectors.Long(t) {
		bits, stride = 128, 1
	}
	for n := range len(all) {
		leaves := all[:n]
		root := fold(leaves)
		tree := merkle.NewTree(leaves)
		if got := merkle.Root(leaves); got != root || tree.Root() != root || tree.Len() != n {
			t.Fatalf("%d leaves: root %v, tree %v of %d, want %v", n, got, tree.Root(), tree.Len(), root)
		}
		for _, i := range []int{-1, n} {
			if _, err := tree.Prove(i); err == nil {
				t.Errorf("%d leaves: leaf %d proved", n, i)
			}
		}
		for i, leaf := range leaves {
			p, err := tree.Prove(i)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Check(leaf, root); err != nil {
				t.Fatalf("leaf %d of %d: %v", i, n, err)
			}
			if err := p.CheckAt(leaf, root, int64(i), int64(n)); err != nil {
				t.Fatalf("leaf %d of %d: %v", i, n, err)
			}
			if n > 64 && i%stride != 0 && i != n-1 {
				continue
			}
			refuse(t, p, leaf, root, i, n, bits)
		}
	}
}

// refuse checks that no change of p is believed.
func refuse(t *testing.T, p merkle.Proof, leaf, root merkle.Hash, i, n, bits int) {
	t.Helper()
	enc, err := p.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	stride := max(1, len(enc)*8/bits)
	for bit := (i + n) % stride; bit < len(enc)*8; bit += stride {
		enc[bit/8] ^= 1 << (bit % 8)
		var q merkle.Proof
		if err := q.UnmarshalBinary(enc); err == nil {
			err = q.Check(leaf, root)
			if !errors.Is(err, merkle.ErrProof) {
				t.Errorf("leaf %d of %d: with bit %d flipped: %v", i, n, bit, err)
			}
		} else if !errors.Is(err, merkle.ErrProof) {
			t.Errorf("leaf %d of %d: with bit %d flipped: %v", i, n, bit, err)
		}
		enc[bit/8] ^= 1 << (bit % 8)
	}
	for at := range p.Path {
		q := p
		q.Path = slices.Delete(slices.Clone(p.Path), at, at+1)
		if q.Check(leaf, root) == nil || q.CheckAt(leaf, root, int64(i), int64(n)) == nil {
			t.Errorf("leaf %d of %d: believed without step %d", i, n, at)
		}
	}
	// A surplus step with its own root folds well: only the place tells.
	for _, left := range []bool{false, true} {
		q := p
		s := merkle.Step{Hash: leaf, Left: left}
		q.Path = append(slices.Clone(p.Path), s)
		q.Root = merkle.Node(p.Root, s.Hash)
		if left {
			q.Root = merkle.Node(s.Hash, p.Root)
		}
		if err := q.Check(leaf, q.Root); err != nil {
			t.Errorf("leaf %d of %d: a longer proof does not fold: %v", i, n, err)
		}
		if !errors.Is(q.Check(leaf, root), merkle.ErrRoot) {
			t.Errorf("leaf %d of %d: surplus step: want ErrRoot", i, n)
		}
		if q.CheckAt(leaf, q.Root, int64(i), int64(n)) == nil {
			t.Errorf("leaf %d of %d: a surplus step passed the walk", i, n)
		}
	}
	for _, at := range [][2]int64{{int64(i) + 1, int64(n)}, {int64(i) - 1, int64(n)},
		{int64(i), 2*int64(n) + 1}, {int64(i), int64(i)}, {-1, -1}} {
		if p.CheckAt(leaf, root, at[0], at[1]) == nil {
			t.Errorf("leaf %d of %d: believed as %d of %d", i, n, at[0], at[1])
		}
	}
}

// The walk stays right at the far end of the counts that it takes.
func TestCheckAtHuge(t *testing.T) {
	leaf, up := nth(0), nth(1)
	p := merkle.Proof{Leaf: leaf, Root: merkle.Node(up, leaf),
		Path: []merkle.Step{{Hash: up, Left: true}}}
	if err := p.CheckAt(leaf, p.Root, 1<<62, 1<<62+1); err != nil {
		t.Errorf("last of 2^62+1: %v", err)
	}
	if err := p.CheckAt(leaf, p.Root, math.MaxInt64-1, math.MaxInt64); err == nil {
		t.Error("last of 2^63-1 with one step: believed")
	}
}

func TestHashText(t *testing.T) {
	h := merkle.Sum([]byte("x"))
	upper := strings.ToUpper(h.String())
	if got, err := merkle.ParseHash(upper); err != nil || got != h {
		t.Errorf("ParseHash(%s) = %v, %v", upper, got, err)
	}
	for _, s := range []string{"", h.String()[1:], h.String() + "0", " " + h.String()[1:], "0x" +
		h.String(), strings.Repeat("g", 64)} {
		if _, err := merkle.ParseHash(s); err == nil {
			t.Errorf("ParseHash(%q) passed", s)
		}
	}
	b, err := json.Marshal(map[merkle.Hash]merkle.Hash{h: h})
	if want := `{"` + h.String() + `":"` + h.String() + `"}`; err != nil || string(b) != want {
		t.Errorf("JSON %s, %v, want %s", b, err, want)
	}
	if !(merkle.Hash{}).IsZero() || h.IsZero() {
		t.Error("IsZero is wrong")
	}
	if a, b := (merkle.Hash{0x7f}), (merkle.Hash{0x80}); a.Compare(b) != -1 || b.Compare(a) != 1 ||
		a.Compare(a) != 0 {
		t.Error("Compare does not order bytes as unsigned numbers")
	}
}

func TestRootAllocates(t *testing.T) {
	leaves := nths(100)
	if got := testing.AllocsPerRun(10, func() { merkle.Root(leaves) }); got > 0 {
		t.Errorf("Root allocates %v times", got)
	}
}

// Whatever decodes encodes to the bytes it came from.
func FuzzParseProof(f *testing.F) {
	for n := range 5 {
		for i := range n {
			p, _ := merkle.Prove(nths(n), i)
			b, _ := p.MarshalBinary()
			f.Add(b)
			f.Add(append(b, 0))
			f.Add(b[:len(b)-1])
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, rest, err := merkle.ParseProof(b)
		if err != nil {
			if !errors.Is(err, merkle.ErrProof) {
				t.Errorf("error %v is no ErrProof", err)
			}
			return
		}
		again, err := p.MarshalBinary()
		if err != nil || !bytes.Equal(append(again, rest...), b) {
			t.Errorf("%x decodes, then encodes to %x, %v", b, again, err)
		}
		_ = p.Check(p.Leaf, p.Root)
		_ = p.CheckAt(p.Leaf, p.Root, 3, 5)
	})
}

// Whatever parses is 64 digits and comes back in lower case.
func FuzzParseHash(f *testing.F) {
	f.Add(merkle.Root(nil).String())
	f.Add(strings.ToUpper(merkle.Root(nil).String()))
	f.Add("0x00")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := merkle.ParseHash(s)
		if err == nil && h.String() != strings.ToLower(s) {
			t.Errorf("%q parses as %v", s, h)
		}
		if err != nil && !h.IsZero() {
			t.Errorf("%q is an error and %v", s, h)
		}
	})
}

func BenchmarkRoot(b *testing.B) {
	leaves := nths(10_000)
	b.SetBytes(int64(32 * len(leaves)))
	b.ReportAllocs()
	for b.Loop() {
		merkle.Root(leaves)
	}
}

func BenchmarkTreeProve(b *testing.B) {
	leaves := nths(10_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := merkle.NewTree(leaves).Prove(7_777); err != nil {
			b.Fatal(err)
		}
	}
}
