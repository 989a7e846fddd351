package digstore

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/dig-network/digstore/merkle"
)

// runOf makes a pack's index of chunks numbered from first on.
func runOf(pack string, first, n int) *run {
	entries := make([]packEntry, n)
	for i := range entries {
		entries[i] = entryOf(first + i)
	}
	return &run{packs: []string{pack}, rows: appendRows(nil, entries), width: packRow}
}

func entryOf(i int) packEntry {
	return packEntry{id: merkle.Sum(binary.BigEndian.AppendUint32(nil, uint32(i))), off: int64(i) * 1000, n: uint32(i)}
}

// TestRuns: a chunk is found in a pack's index and in any merge of them, also after a merge was written and read; others are not.
func TestRuns(t *testing.T) {
	for _, sizes := range [][]int{{0}, {1}, {1, 1}, {100, 3, 0, 1000}, {5000, 5000}} {
		t.Run(fmt.Sprint(sizes), func(t *testing.T) {
			var runs []*run
			total := 0
			for i, n := range sizes {
				runs = append(runs, runOf(fmt.Sprint("pack ", i), total, n))
				total += n
			}
			merged := mergeRuns(append(runs, runOf("copy", 0, min(total, 2)))) // chunks that two packs have
			if merged.len() != total {
				t.Fatalf("%d chunks, want %d", merged.len(), total)
			}
			parsed, err := parseRun("name", "file", merged.marshal())
			if err != nil {
				t.Fatal(err)
			}
			at := 0
			for i, n := range sizes {
				for range n {
					want := entryOf(at)
					for _, r := range []*run{runs[i], merged, parsed} {
						got, pack, ok := r.find(want.id)
						if !ok || got != want || pack != fmt.Sprint("pack ", i) {
							t.Fatalf("chunk %d: %v in %q, %v", at, got, pack, ok)
						}
					}
					at++
				}
			}
			for i := total; i < total+100; i++ {
				if _, _, ok := parsed.find(entryOf(i).id); ok {
					t.Fatalf("chunk %d is found", i)
				}
			}
			b := merged.marshal()
			for i := range b {
				b[i] ^= 0x40
				if _, err := parseRun("name", "file", b); err == nil {
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
