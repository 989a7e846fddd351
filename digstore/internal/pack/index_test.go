package pack_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/dig-network/digstore/digstore/internal/pack"
	"github.com/dig-network/digstore/merkle"
)

// indexOf makes a pack's index of chunks numbered from first on.
func indexOf(name string, first, n int) *pack.Index {
	entries := make([]pack.Entry, n)
	for i := range entries {
		entries[i] = entryOf(first + i)
	}
	return pack.NewIndex(name, entries)
}

func entryOf(i int) pack.Entry {
	id := merkle.Sum(binary.BigEndian.AppendUint32(nil, uint32(i)))
	return pack.Entry{ID: id, Offset: int64(i) * 1000, Len: uint32(i)}
}

// TestMerge: a chunk is found in the index of its pack and in any merged index, also after encoding
// and parsing. Other chunks are not found.
func TestMerge(t *testing.T) {
	for _, sizes := range [][]int{{0}, {1}, {1, 1}, {100, 3, 0, 1000}, {5000, 5000}} {
		t.Run(fmt.Sprint(sizes), func(t *testing.T) {
			var list []*pack.Index
			total := 0
			for i, n := range sizes {
				list = append(list, indexOf(fmt.Sprint("pack ", i), total, n))
				total += n
			}
			// The last index has chunks of another one.
			merged := pack.Merge(append(list, indexOf("copy", 0, min(total, 2))))
			if merged.Len() != total {
				t.Fatalf("%d chunks, want %d", merged.Len(), total)
			}
			parsed, err := pack.ParseMerged(merged.Marshal())
			if err != nil {
				t.Fatal(err)
			}
			at := 0
			for i, n := range sizes {
				for range n {
					want := entryOf(at)
					for _, r := range []*pack.Index{list[i], merged, parsed} {
						got, name, ok := r.Find(want.ID)
						if !ok || got != want || name != fmt.Sprint("pack ", i) {
							t.Fatalf("chunk %d: %v in %q, %v", at, got, name, ok)
						}
					}
					at++
				}
			}
			for i := total; i < total+100; i++ {
				if _, _, ok := parsed.Find(entryOf(i).ID); ok {
					t.Fatalf("chunk %d is found", i)
				}
			}
			b := merged.Marshal()
			for i := range b {
				b[i] ^= 0x40
				if _, err := pack.ParseMerged(b); err == nil {
					t.Fatalf("an index with another byte %d is taken", i)
				}
				b[i] ^= 0x40
				if i > 300 {
					break
				}
			}
		})
	}
}
