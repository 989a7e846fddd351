package rootlog_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/dig-network/digstore/digstore/internal/rootlog"
)

// TestDropped: Has is true for exactly the lines that were added, also after encoding and parsing.
// A damaged list is refused.
func TestDropped(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var d rootlog.Dropped
		want := map[uint64]bool{}
		for range rapid.IntRange(0, 12).Draw(t, "ranges") {
			first := rapid.Uint64Range(0, 40).Draw(t, "first")
			behind := first + rapid.Uint64Range(0, 6).Draw(t, "lines")
			d = d.With(first, behind)
			for n := first; n < behind; n++ {
				want[n] = true
			}
		}
		b := d.Marshal()
		got, ok := rootlog.ParseDropped(b)
		if !ok || !slices.Equal(got, d) {
			t.Fatalf("%v is read as %v, %v", d, got, ok)
		}
		for n := range uint64(50) {
			if got.Has(n) != want[n] {
				t.Fatalf("%v: line %d", d, n)
			}
		}
		b[rapid.IntRange(0, len(b)-1).Draw(t, "byte")] ^= 1
		if got, ok := rootlog.ParseDropped(b); ok {
			t.Fatalf("a damaged list is read as %v", got)
		}
	})
}
