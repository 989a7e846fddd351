package capsule_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/corpus"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
)

// files is the content of the corpus, one file after the other.
func files(t testing.TB) []byte {
	tree := corpus.Small(1)
	if vectors.Long(t) {
		tree = corpus.Large(1)
	}
	names := make([]string, 0, len(tree))
	for name := range tree {
		names = append(names, name)
	}
	slices.Sort(names)
	var b []byte
	for _, name := range names {
		b = append(b, tree[name]...)
	}
	return b
}

func TestVerifyReader(t *testing.T) {
	closed := 0
	open := func(b []byte) io.ReadCloser {
		return struct {
			io.Reader
			io.Closer
		}{bytes.NewReader(b), closeFunc(func() error { closed++; return nil })}
	}
	for _, n := range []int{0, 1, 4096, 131_072, 300_000} {
		content := pattern(n, n)
		d := must(capsule.Describe(3, bytes.NewReader(content)))
		for name, r := range map[string]io.Reader{
			"whole": capsule.VerifyReader(open(content), d),
			"bytes": iotest.OneByteReader(capsule.VerifyReader(open(content), d)),
		} {
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d bytes, %s: %d bytes, %v", n, name, len(got), err)
			}
		}
		if err := iotest.TestReader(capsule.VerifyReader(open(content), d), content); err != nil {
			t.Error(err)
		}
		withoutRoot := d
		withoutRoot.ChunkRoot = merkle.Hash{}
		if _, err := io.ReadAll(capsule.VerifyReader(open(content), withoutRoot)); err != nil {
			t.Error(err)
		}
		wrongHash := withoutRoot
		wrongHash.Hash[0]++
		wrongRoot := d
		wrongRoot.ChunkRoot[0]++
		bad := map[string]struct {
			content []byte
			d       capsule.Descriptor
		}{
			"a byte more":        {append(slices.Clone(content), 0), d},
			"another chunk root": {content, wrongRoot},
			"another hash":       {content, wrongHash},
		}
		if n > 0 {
			flipped := slices.Clone(content)
			flipped[n/2] ^= 1
			bad["a bit"] = struct {
				content []byte
				d       capsule.Descriptor
			}{flipped, d}
			bad["a byte less"] = struct {
				content []byte
				d       capsule.Descriptor
			}{content[:n-1], d}
		}
		for name, c := range bad {
			if _, err := io.ReadAll(capsule.VerifyReader(open(c.content), c.d)); !errors.Is(err,
				capsule.ErrContentMismatch) {
				t.Errorf("%d bytes, %s: %v", n, name, err)
			}
			// One who reads exactly as many bytes as there should be sees the error as well.
			if n > 0 {
				r := capsule.VerifyReader(open(c.content), c.d)
				if _, err := io.ReadFull(r, make([]byte, n)); err == nil {
					t.Errorf("%d bytes, %s: read in full", n, name)
				}
				if _, err := r.Read(make([]byte, 1)); !errors.Is(err, capsule.ErrContentMismatch) {
					t.Errorf("%d bytes, %s, after the error: %v", n, name, err)
				}
			}
		}
	}
	broken := errors.New("broken")
	d := must(capsule.Describe(0, strings.NewReader("ab")))
	r := capsule.VerifyReader(io.NopCloser(io.MultiReader(strings.NewReader("a"),
		iotest.ErrReader(broken))), d)
	if _, err := io.ReadAll(r); !errors.Is(err, broken) {
		t.Errorf("broken: %v", err)
	}
	r = capsule.VerifyReader(io.NopCloser(io.MultiReader(strings.NewReader("ab"),
		iotest.ErrReader(broken))), d)
	if _, err := io.ReadAll(r); !errors.Is(err, broken) {
		t.Errorf("broken at the end: %v", err)
	}
	r = capsule.VerifyReader(open(nil), d)
	was := closed
	if r.Close(); closed != was+1 {
		t.Error("Close closes nothing")
	}
}

type closeFunc func() error

func (f closeFunc) Close() error { return f() }

// Every range of small trees proves, and nothing else does. A long run takes its
// part of the ranges of larger trees.
func TestRangeProof(t *testing.T) {
	turn, turns := vectors.Part(t)
	most := uint32(20)
	if vectors.Long(t) {
		most = 70
	}
	for chunks := uint32(1); chunks <= most; chunks++ {
		for _, last := range []int{1, capsule.ChunkSize} {
			content := pattern(int(chunks), int(chunks-1)*capsule.ChunkSize+last)
			d := must(capsule.Describe(1, bytes.NewReader(content)))
			leaves := make([]merkle.Hash, chunks)
			for i := range leaves {
				leaves[i] = merkle.Leaf(content[i*capsule.ChunkSize : min(len(content),
					(i+1)*capsule.ChunkSize)])
			}
			for first := range chunks {
				for count := uint32(1); first+count <= chunks; count++ {
					if chunks > 20 && int(first+2*count)%turns != turn {
						continue
					}
					p := must(capsule.ProveRange(leaves, first, count))
					var q capsule.RangeProof
					if err := q.UnmarshalBinary(must(p.MarshalBinary())); err != nil {
						t.Fatal(err)
					}
					part := content[first*capsule.ChunkSize : min(len(content),
						int(first+count)*capsule.ChunkSize)]
					if err := q.Check(d, part); err != nil {
						t.Fatalf("%d of %d from %d: %v", count, chunks, first, err)
					}
					if first == 0 && count == chunks && len(q.Siblings) > 0 {
						t.Errorf("the whole of %d has %d siblings", chunks, len(q.Siblings))
					}
					flipped := slices.Clone(part)
					flipped[len(flipped)-1] ^= 1
					wantError(t, "flipped bit", q.Check(d, flipped), capsule.ErrPath)
					wantError(t, "short", q.Check(d, part[1:]), capsule.ErrContentMismatch)
					more := q
					more.Siblings = append(slices.Clone(q.Siblings), merkle.Hash{})
					wantError(t, "a sibling more", more.Check(d, part), capsule.ErrPath)
					for i := range q.Siblings {
						bad := capsule.RangeProof{First: first, Count: count,
							Siblings: slices.Clone(q.Siblings)}
						bad.Siblings[i][9] ^= 1
						wantError(t, "sibling", bad.Check(d, part), capsule.ErrPath)
						bad.Siblings = q.Siblings[:i]
						wantError(t, "fewer siblings", bad.Check(d, part), capsule.ErrPath)
					}
				}
			}
			for _, bad := range [][2]uint32{{0, 0}, {chunks, 1}, {0, chunks + 1}, {1, 1<<32 - 1}} {
				_, err := capsule.ProveRange(leaves, bad[0], bad[1])
				wantError(t, "prove outside", err, capsule.ErrPath)
				wantError(t, "check outside",
					capsule.RangeProof{First: bad[0], Count: bad[1]}.Check(d, nil), capsule.ErrPath)
			}
		}
	}
	var p capsule.RangeProof
	for _, n := range []int{0, 7, 9, 8 + 31, 8 + 65*32} {
		if err := p.UnmarshalBinary(make([]byte, n)); err == nil {
			t.Errorf("%d bytes are decoded", n)
		}
	}
}

func TestBundleJSON(t *testing.T) {
	w := newWorld(t)
	b := must(capsule.ParseBundle(w.v.Bundle.bytes(t)))
	var view struct {
		PlotID string `json:"plot_id"`
		Access struct {
			Indices []uint32   `json:"chunk_indices"`
			Data    []string   `json:"chunk_data"`
			Proofs  [][]string `json:"chunk_proofs"`
			Root    string     `json:"capsule_root_hash"`
		}
		Work struct{ Nonce uint64 }
	}
	if err := json.Unmarshal(must(json.Marshal(b)), &view); err != nil {
		t.Fatal(err)
	}
	if view.PlotID != "0x"+b.PlotID.String() || view.Work.Nonce != b.Work.Nonce ||
		len(view.Access.Proofs) != 20 ||
		view.Access.Indices[0] != 14 || view.Access.Data[0] != fmt.Sprintf("0x%x",
		b.Access.Samples[0].Chunk) || view.Access.Root != "0x"+b.Access.ChunkRoot.String() {
		t.Errorf("%+v", view)
	}
}

// A plot that has rotted proves nothing, and says so.
func TestProverChecksPlots(t *testing.T) {
	w := newWorld(t)
	rec := must(w.plots.Find(t.Context(), w.manifest.Capsules[1].Hash, merkle.Hash{})).Record()
	h := capsule.NewHasher()
	h.Write(w.content)
	rotten := slices.Clone(w.content)
	for i := range rotten {
		rotten[i]++
	}
	other := rec
	other.Descriptor.Hash[0]++
	for name, plots := range map[string]capsule.Plots{
		"content":  blocksPlot{onePlot{rec, rotten}, h.Subroots()},
		"short":    blocksPlot{onePlot{rec, w.content[:131072+100]}, h.Subroots()},
		"subroots": blocksPlot{onePlot{rec, w.content}, h.Subroots()[:1]},
		"hash":     blocksPlot{onePlot{other, w.content}, h.Subroots()},
	} {
		_, err := (&capsule.Prover{Key: w.node, Plots: plots}).Prove(t.Context(), w.challenge(t,
			func(c *capsule.Challenge) { c.Type, c.Samples = capsule.PhysicalAccess, 256 }))
		wantError(t, name, err, capsule.ErrContentMismatch)
	}
}
