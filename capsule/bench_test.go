package capsule_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"sync"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/capsuletest"
	"github.com/dig-network/digstore/merkle"
)

// accessBench has a challenge of 20 samples about a capsule of 16 MiB, and its answer.
func accessBench(
	b *testing.B,
) (*capsule.Prover, *capsule.Challenge, *capsule.Bundle, *capsule.VerifyOptions, []byte) {
	content := pattern(1, 16<<20)
	for i := range content { // no two blocks alike
		content[i] ^= byte(i >> 17)
	}
	m := manifestOf(1, content)
	node := auth.NewNodeKey([32]byte{1})
	plots := must(capsuletest.NewPlots(capsule.PlotIdentity{PublicKey: node.PublicKey()},
		capsuletest.Holding{Manifest: m, Content: map[uint32][]byte{0: content}}))
	c := &capsule.Challenge{ID: "bench", Type: capsule.PhysicalAccess,
		CapsuleHash: m.Capsules[0].Hash, Entropy: merkle.Hash{1}, IssuedAt: 1, ExpiresAt: 2,
		Samples: 20}
	if err := c.Sign(b.Context(), auth.NewNodeKey([32]byte{2})); err != nil {
		b.Fatal(err)
	}
	p := &capsule.Prover{Key: node, Plots: plots}
	bundle, err := p.Prove(b.Context(), c)
	if err != nil {
		b.Fatal(err)
	}
	return p, c, bundle, &capsule.VerifyOptions{Refs: []capsule.Ref{m.Ref(0)}}, content
}

// BenchmarkAccess: Prove and Verify beside what they cannot do without, which is hashing the
// blocks and the chunks.
func BenchmarkAccess(b *testing.B) {
	p, c, bundle, o, content := accessBench(b)
	b.Run("Prove", func(b *testing.B) {
		for b.Loop() {
			if _, err := p.Prove(b.Context(), c); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("HashBlocks", func(b *testing.B) {
		for b.Loop() {
			for _, s := range bundle.Access.Samples {
				at := int(s.Index) * capsule.ChunkSize / capsule.BlockSize * capsule.BlockSize
				sha256.Sum256(content[at : at+capsule.BlockSize])
			}
		}
	})
	raw := must(bundle.MarshalBinary())
	b.Run("Verify", func(b *testing.B) {
		for b.Loop() {
			if _, err := capsule.VerifyBundle(b.Context(), raw, c, o); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("HashChunks", func(b *testing.B) {
		for b.Loop() {
			for _, s := range bundle.Access.Samples {
				sha256.Sum256(s.Chunk)
			}
		}
	})
}

// BenchmarkSplit: beside a bare loop on all cores that hashes the same bytes twice, whole and
// in chunks.
func BenchmarkSplit(b *testing.B) {
	const size, count = 16 << 20, 8
	content := pattern(1, size*count)
	b.Run("Split", func(b *testing.B) {
		b.SetBytes(int64(len(content)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := capsule.Split(b.Context(), auth.StoreID{}, bytes.NewReader(content), nil,
				nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Bare", func(b *testing.B) {
		b.SetBytes(int64(len(content)))
		for b.Loop() {
			var wg sync.WaitGroup
			next := make(chan []byte, count)
			for at := 0; at < len(content); at += size {
				next <- content[at : at+size]
			}
			close(next)
			for range runtime.GOMAXPROCS(0) {
				wg.Go(func() {
					for c := range next {
						sha256.Sum256(c)
						for at := 0; at < len(c); at += capsule.ChunkSize {
							sha256.Sum256(c[at : at+capsule.ChunkSize])
						}
					}
				})
			}
			wg.Wait()
		}
	})
}

func BenchmarkVerifyReader(b *testing.B) {
	content := pattern(1, 16<<20)
	d := must(capsule.Describe(0, bytes.NewReader(content)))
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		if _, err := io.Copy(io.Discard,
			capsule.VerifyReader(io.NopCloser(bytes.NewReader(content)), d)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkManifest(b *testing.B) {
	m := &capsule.Manifest{Store: auth.StoreID{1}}
	var leaves []merkle.Hash
	for i := range 100_000 {
		d := capsule.Descriptor{Index: uint32(i), Size: 1, Hash: merkle.Sum(fmt.Append(nil, i)),
			ChunkRoot: merkle.Hash{1}}
		m.Capsules = append(m.Capsules, d)
		leaves = append(leaves, d.Leaf())
	}
	m.Root = merkle.Root(leaves)
	text := must(json.Marshal(m))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := capsule.ReadManifest(bytes.NewReader(text), 0); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSearch is the whole pool, on all cores, beside bare SHA-256 of 128 bytes for each
// nonce on as many.
func BenchmarkSearch(b *testing.B) {
	const bits = 22
	b.Run("Pool", func(b *testing.B) {
		w := capsule.NewCPUWorker(0)
		nonces := uint64(0)
		for i := 0; b.Loop(); i++ {
			n, err := w.Search(b.Context(), capsule.WorkInput{PlotSeed: merkle.Sum(fmt.Append(nil,
				i))}, bits)
			if err != nil {
				b.Fatal(err)
			}
			nonces += n + 1
		}
		b.ReportMetric(float64(nonces)/b.Elapsed().Seconds()/1e6, "MH/s")
	})
	b.Run("Bare", func(b *testing.B) {
		buf := make([]byte, 1<<20)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				sha256.Sum256(buf)
			}
		})
		b.ReportMetric(float64(b.N)*float64(len(buf))/128/b.Elapsed().Seconds()/1e6, "MH/s")
	})
}
