package module_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/merkle"
)

// many is the entries of a store of 10,000 small files.
func many(n int) []module.Entry {
	entries := make([]module.Entry, n)
	for i := range entries {
		key := binary.BigEndian.AppendUint32([]byte("key"), uint32(i))
		e := &entries[i]
		e.Key = merkle.Sum(key)
		e.Leaf = merkle.Sum(append(key, "body"...))
		e.Chunks = []module.Chunk{{ID: e.Leaf, Len: uint32(1024 + i)}}
	}
	return entries
}

func manyRecipe(b *testing.B) *module.Recipe {
	r, err := module.Compose(auth.StoreID{1}, auth.PublicKey{2}, many(10_000), nil)
	if err != nil {
		b.Fatal(err)
	}
	return r
}

func BenchmarkCompose10000(b *testing.B) {
	entries := many(10_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := module.Compose(auth.StoreID{1}, auth.PublicKey{2}, entries, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMarshalRecipe10000(b *testing.B) {
	r := manyRecipe(b)
	enc, _ := r.MarshalBinary()
	b.SetBytes(int64(len(enc)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.MarshalBinary(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseRecipe10000(b *testing.B) {
	enc, _ := manyRecipe(b).MarshalBinary()
	b.SetBytes(int64(len(enc)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := module.ParseRecipe(enc); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEntry(b *testing.B) {
	r, entries := manyRecipe(b), many(10_000)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, ok := r.Entry(entries[i%len(entries)].Key); !ok {
			b.Fatal("missing")
		}
		i++
	}
}

// big makes a module of one resource of that many bytes, in chunks of 64 KiB on
// average.
func big(b *testing.B, size int) (file []byte) {
	text := make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(text)
	bld := module.NewBuilder(auth.StoreID{1}, auth.PublicKey{2}, &module.Options{TempDir: b.TempDir()})
	defer bld.Close()
	if err := bld.Add(b.Context(), "file0", bytes.NewReader(text)); err != nil {
		b.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := bld.Build(b.Context(), &out); err != nil {
		b.Fatal(err)
	}
	return out.Bytes()
}

const bigSize = 119_500_000

// BenchmarkTakeApart is the work of a clone: one large resource, its chunks
// written to a file, verified to the last byte.
func BenchmarkTakeApart(b *testing.B) {
	file := big(b, bigSize)
	name := filepath.Join(b.TempDir(), "pack")
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		f, err := os.Create(name)
		if err != nil {
			b.Fatal(err)
		}
		r, err := module.Decompose(b.Context(), struct{ io.Reader }{bytes.NewReader(file)},
			func(c module.Chunk, sealed []byte) error {
				_, err := f.Write(sealed)
				return err
			})
		if err != nil {
			b.Fatal(err)
		}
		m, _ := r.Module(nil)
		if err := m.Verify(b.Context()); err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
}

// BenchmarkTakeApartSmall is the same for 10,000 small files.
func BenchmarkTakeApartSmall(b *testing.B) {
	text := make([]byte, 10_800)
	rand.NewChaCha8([32]byte{1}).Read(text)
	bld := module.NewBuilder(auth.StoreID{1}, auth.PublicKey{2}, &module.Options{TempDir: b.TempDir()})
	defer bld.Close()
	for i := range 10_000 {
		if err := bld.Add(b.Context(), fmt.Sprintf("file%d", i), bytes.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
	var out bytes.Buffer
	if _, err := bld.Build(b.Context(), &out); err != nil {
		b.Fatal(err)
	}
	file := out.Bytes()
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := module.Decompose(b.Context(), struct{ io.Reader }{bytes.NewReader(file)},
			func(module.Chunk, []byte) error { return nil })
		if err != nil {
			b.Fatal(err)
		}
		m, _ := r.Module(nil)
		if err := m.Verify(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHashTwice is what Decompose cannot do without.
func BenchmarkHashTwice(b *testing.B) {
	file := make([]byte, bigSize)
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		done := make(chan merkle.Hash)
		go func() { done <- merkle.Sum(file) }()
		merkle.Sum(file)
		<-done
	}
}

func BenchmarkImageWriteTo(b *testing.B) {
	file := big(b, 32<<20)
	src := newMemory()
	r, err := module.Decompose(b.Context(), bytes.NewReader(file), src.put)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(r.Size())
	src.reads.Store(0)
	for b.Loop() {
		if _, err := r.Image(src).WriteTo(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(src.reads.Load())/float64(b.N), "reads/op")
}

func BenchmarkVerifyFile(b *testing.B) {
	file := big(b, 32<<20)
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		m, err := module.Open(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			b.Fatal(err)
		}
		if err := m.Verify(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPlainWriteTo(b *testing.B) {
	file := big(b, 32<<20)
	m, err := module.Open(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		b.Fatal(err)
	}
	u := urn.URN{Store: auth.StoreID{1}, Resource: "file0"}
	r, err := m.Find(u.RetrievalKey())
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(r.Size())
	for b.Loop() {
		p, _ := r.Open(u.Key(nil))
		if _, err := p.WriteTo(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
