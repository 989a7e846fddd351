package plot_test

import (
	"bytes"
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/plot"
)

// benchDatastore has n capsules of 16 MiB. Half of the content compresses.
func benchDatastore(b *testing.B, n int) datastore {
	b.Helper()
	content := make([]byte, 16<<20)
	var contents [][]byte
	for i := range n {
		c := bytes.Clone(content)
		fill(c, uint64(i))
		contents = append(contents, c)
	}
	return newDatastore(b, 1, contents...)
}

// fill writes runs of noise and of text.
func fill(b []byte, x uint64) {
	x = x*2654435761 + 88172645463325252
	for i := range b {
		if i%8 == 0 {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
		}
		if i>>12&1 == 0 {
			b[i] = byte(x >> (i & 7 * 8))
		} else {
			b[i] = "the content of a datastore "[i%27]
		}
	}
}

// BenchmarkCreate compares creation with the bare work that it contains: a copy
// through one SHA-256, or compressing the same blocks on all cores and hashing
// them twice. The metric ratio is the speed against the bare loop.
func BenchmarkCreate(b *testing.B) {
	ds := benchDatastore(b, 8)
	total := int64(len(ds.contents)) * 16 << 20
	for _, c := range []plot.Compression{plot.None, plot.LZ4, plot.Zstd} {
		b.Run(string(c), func(b *testing.B) {
			b.SetBytes(total)
			var ours, bare time.Duration
			for b.Loop() {
				dir := b.TempDir()
				began := time.Now()
				o := fast()
				o.Compression = c
				create(b, dir, o, ds)
				ours += time.Since(began)
				b.StopTimer()
				began = time.Now()
				if c == plot.None {
					copyHashed(b, dir, ds.contents)
				} else {
					compressHashed(ds.contents, c)
				}
				bare += time.Since(began)
				os.RemoveAll(dir)
				b.StartTimer()
			}
			b.ReportMetric(float64(bare)/float64(ours), "ratio")
		})
	}
}

func copyHashed(b *testing.B, dir string, contents [][]byte) {
	f, err := os.Create(filepath.Join(dir, "copy"))
	check(b, err)
	h := sha256.New()
	for _, c := range contents {
		_, err := io.Copy(struct{ io.Writer }{io.MultiWriter(f, h)}, bytes.NewReader(c))
		check(b, err)
	}
	check(b, f.Sync())
	check(b, f.Close())
}

// compressHashed compresses all blocks on all cores and hashes them twice.
func compressHashed(contents [][]byte, c plot.Compression) {
	blocks := make(chan []byte)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			var l lz4.Compressor
			z, _ := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
				zstd.WithSingleSegment(true))
			out := make([]byte, 0, lz4.CompressBlockBound(capsule.BlockSize))
			for b := range blocks {
				if c == plot.LZ4 {
					l.CompressBlock(b, out[:cap(out)])
				} else {
					out = z.EncodeAll(b, out[:0])
				}
				hashTwice(b)
			}
		}()
	}
	for _, content := range contents {
		for i := 0; i < len(content); i += capsule.BlockSize {
			blocks <- content[i:min(len(content), i+capsule.BlockSize)]
		}
	}
	close(blocks)
	wg.Wait()
}

func hashTwice(b []byte) {
	sha256.Sum256(b)
	for i := 0; i < len(b); i += capsule.ChunkSize {
		sha256.Sum256(b[i:min(len(b), i+capsule.ChunkSize)])
	}
}

// BenchmarkVerify compares a full verification with hashing the same bytes
// twice on as many cores.
func BenchmarkVerify(b *testing.B) {
	ds := benchDatastore(b, 8)
	o := fast()
	o.Compression = plot.None
	file := readFile(b, create(b, b.TempDir(), o, ds).Path)
	b.SetBytes(int64(len(file)))
	var ours, bare time.Duration
	for b.Loop() {
		began := time.Now()
		check(b, verify(file, plot.Full))
		ours += time.Since(began)
		b.StopTimer()
		began = time.Now()
		var wg sync.WaitGroup
		next := make(chan []byte, len(ds.contents))
		for _, c := range ds.contents {
			next <- c
		}
		close(next)
		for range runtime.GOMAXPROCS(0) {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for c := range next {
					hashTwice(c)
				}
			}()
		}
		wg.Wait()
		bare += time.Since(began)
		b.StartTimer()
	}
	b.ReportMetric(float64(bare)/float64(ours), "ratio")
}

// BenchmarkRange compares a verified read of 64 KiB at a random place with
// reading, decompressing and hashing the one or two blocks that it lies in.
func BenchmarkRange(b *testing.B) {
	ds := benchDatastore(b, 1)
	for _, c := range []plot.Compression{plot.None, plot.LZ4, plot.Zstd} {
		b.Run(string(c), func(b *testing.B) {
			o := fast()
			o.Compression = c
			r := open(b, create(b, b.TempDir(), o, ds).Path, nil)
			capsule, err := r.Capsule(ds.manifest.Capsules[0], plot.Verified)
			check(b, err)
			fast, err := r.Capsule(ds.manifest.Capsules[0], plot.Fast)
			check(b, err)
			buf, block := make([]byte, 64<<10), make([]byte, 256<<10)
			var ours, bare time.Duration
			x := uint64(1)
			for b.Loop() {
				x = x*6364136223846793005 + 1442695040888963407
				at := int64(x>>33) % (capsule.Size() - 64<<10)
				began := time.Now()
				_, err := capsule.ReadAt(buf, at)
				ours += time.Since(began)
				check(b, err)
				b.StopTimer()
				began = time.Now()
				first := at &^ (128<<10 - 1)
				n := (at+64<<10+128<<10-1)&^(128<<10-1) - first
				m, _ := fast.ReadAt(block[:n], first)
				for i := 0; i < m; i += 4096 {
					sha256.Sum256(block[i:min(m, i+4096)])
				}
				bare += time.Since(began)
				b.StartTimer()
			}
			b.ReportMetric(float64(ours)/float64(bare), "cost")
		})
	}
}

// BenchmarkProve answers a challenge of 20 samples without work about a warm
// capsule of 16 MiB, and checks the answer. The metric cost is against hashing
// the blocks or chunks that the proof reads.
func BenchmarkProve(b *testing.B) {
	ds := benchDatastore(b, 1)
	for _, c := range []plot.Compression{plot.None, plot.Zstd} {
		o := fast()
		o.Compression = c
		dir := b.TempDir()
		create(b, dir, o, ds)
		set := openSet(b, plot.Dir{Path: dir})
		now := uint64(time.Now().Unix())
		ch := &capsule.Challenge{Type: capsule.PhysicalAccess, ID: "bench",
			CapsuleHash: ds.manifest.Capsules[0].Hash,
			Entropy:     ds.manifest.Root, IssuedAt: now, ExpiresAt: now + 100, Samples: 20}
		check(b, ch.Sign(b.Context(), node))
		prover := &capsule.Prover{Key: node, Plots: set}
		var answer *capsule.Bundle
		b.Run("prove/"+string(c), func(b *testing.B) {
			for b.Loop() {
				var err error
				answer, err = prover.Prove(b.Context(), ch)
				check(b, err)
			}
			perOp := b.Elapsed() / time.Duration(b.N)
			began := time.Now()
			for i := range 20 {
				hashTwice(ds.contents[0][i*capsule.BlockSize:][:capsule.BlockSize])
			}
			b.ReportMetric(2*float64(perOp)/float64(time.Since(began)), "cost")
		})
		b.Run("verify/"+string(c), func(b *testing.B) {
			opts := &capsule.VerifyOptions{Refs: []capsule.Ref{ds.manifest.Ref(0)}}
			for b.Loop() {
				_, err := answer.Verify(b.Context(), ch, opts)
				check(b, err)
			}
			perOp := b.Elapsed() / time.Duration(b.N)
			began := time.Now()
			for i := range 20 {
				sha256.Sum256(ds.contents[0][i*capsule.ChunkSize:][:capsule.ChunkSize])
			}
			b.ReportMetric(float64(perOp)/float64(time.Since(began)), "cost")
		})
	}
}
