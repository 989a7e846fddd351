package index_test

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/index"
)

// fill makes an index of many capsules, each in generations of the given size, two to a datastore.
func fill(t testing.TB, capsules, each int) *index.Index {
	x := index.New()
	for g := range capsules / each {
		h := index.Holding{Count: uint32(each), Capsules: make([]capsule.Descriptor, each)}
		h.Store, h.Root = auth.StoreID(hashAt(g/2, -1)), hashAt(g, -2)
		for i := range h.Capsules {
			h.Capsules[i] = capsule.Descriptor{Index: uint32(i), Size: capsule.DefaultSize,
				Hash: hashAt(g, i), ChunkRoot: merkle.Hash{1}}
		}
		it := index.Item{Key: h.Key, Size: int64(g), Modified: time.Unix(int64(g), 0), Head: g%2 == 1}
		if err := x.Set("storage", it, h); err != nil {
			t.Fatal(err)
		}
	}
	return x
}

func hashAt(g, i int) merkle.Hash {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], uint64(g))
	binary.BigEndian.PutUint64(b[8:], uint64(i))
	return merkle.Sum(b[:])
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// The index takes less than 150 bytes for each capsule, also when it is filled from a snapshot.
func TestMemory(t *testing.T) {
	capsules := 100_000
	if vectors.Long(t) {
		capsules = 1_000_000
	}
	name := filepath.Join(t.TempDir(), "index")
	before := heap()
	x := fill(t, capsules, 100)
	filled := heap() - before
	if err := x.Save(diskfs.OS(), name); err != nil {
		t.Fatal(err)
	}
	runtime.KeepAlive(x)
	x = nil
	before = heap()
	loaded, err := index.Load(diskfs.OS(), name)
	if err != nil {
		t.Fatal(err)
	}
	fromFile := heap() - before
	if c := loaded.Counts(); c.Held != uint64(capsules) {
		t.Errorf("counts %+v", c)
	}
	for what, n := range map[string]uint64{"filled": filled, "loaded": fromFile} {
		t.Logf("%s: %d bytes for each of %d capsules", what, n/uint64(capsules), capsules)
		if n/uint64(capsules) >= 150 {
			t.Errorf("%s: %d bytes for each capsule, expected less than 150", what,
				n/uint64(capsules))
		}
	}
}

// BenchmarkLookup looks a capsule up by its place in a head, and by its hash, among a million.
func BenchmarkLookup(b *testing.B) {
	const each = 100
	x := fill(b, 1_000_000, each)
	stores := x.Stores()
	r := rand.New(rand.NewPCG(1, 1))
	b.Run("Stat", func(b *testing.B) {
		for b.Loop() {
			ref := capsule.Ref{Store: stores[r.IntN(len(stores))], Index: r.Uint32N(each)}
			if _, err := x.Stat(ref); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Find", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := x.Find(hashAt(r.IntN(10_000), r.IntN(each))); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Counts", func(b *testing.B) {
		for b.Loop() {
			x.Counts()
		}
	})
}

// BenchmarkSnapshot writes and reads a snapshot of a million capsules.
func BenchmarkSnapshot(b *testing.B) {
	x := fill(b, 1_000_000, 100)
	name := filepath.Join(b.TempDir(), "index")
	b.Run("Save", func(b *testing.B) {
		for b.Loop() {
			if err := x.Save(diskfs.OS(), name); err != nil {
				b.Fatal(err)
			}
		}
	})
	info, err := os.Stat(name)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("Load", func(b *testing.B) {
		b.SetBytes(info.Size())
		for b.Loop() {
			if _, err := index.Load(diskfs.OS(), name); err != nil {
				b.Fatal(err)
			}
		}
	})
}
