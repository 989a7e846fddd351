package remote

import (
	"slices"
	"testing"

	"github.com/dig-network/digstore/remote/internal/wire"
)

// spans returns spans from pairs of offset and length.
func spans(of ...int64) (list []Span) {
	for ; len(of) > 0; of = of[2:] {
		list = append(list, Span{Offset: of[0], Length: of[1]})
	}
	return list
}

// TestBatch checks that batch merges close spans, respects the limit, and skips spans that are
// done.
func TestBatch(t *testing.T) {
	want := spans(0, 10, 14, 6, 300, 10, 310, 5, 1000, 1)
	s := &spanRequest{want: want, done: make([]bool, len(want))}
	for _, tc := range []struct {
		n    int
		gap  int64
		done int // index of the span that is then done
		want []Span
	}{
		{9, 256, -1, spans(0, 20, 300, 15, 1000, 1)},
		{9, 3, -1, spans(0, 10, 14, 6, 300, 15, 1000, 1)},
		{1, 5000, -1, spans(0, 1001)},
		{2, 256, -1, spans(0, 20, 300, 15)},
		{9, 256, 0, spans(14, 6, 300, 15, 1000, 1)},
		{9, 256, 3, spans(14, 6, 300, 10, 1000, 1)},
	} {
		if tc.done >= 0 {
			s.markDone(tc.done)
		}
		if got := s.batch(tc.n, tc.gap); !slices.Equal(got, tc.want) {
			t.Errorf("%d at most, %d between: %v, want %v", tc.n, tc.gap, got, tc.want)
		}
	}
}

func FuzzReadRanges(f *testing.F) {
	for _, s := range []string{"bytes=0-1", "bytes=0-1, 4-5", "bytes=5-", "bytes=-5", "bytes=0-1,1-2",
		"bytes=9223372036854775807-9223372036854775807"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ranges, ok := wire.ParseRanges(s)
		if !ok {
			return
		}
		var spans []Span
		for _, at := range ranges {
			spans = append(spans, Span(at))
		}
		if len(ranges) == 0 || len(ranges) > wire.MaxRanges || checkSpans(spans) != nil {
			t.Fatalf("%q gives %v", s, ranges)
		}
		if again, ok := wire.ParseRanges(rangeHeader(spans)); !ok || !slices.Equal(again, ranges) {
			t.Fatalf("%q gives %v and then %v", s, ranges, again)
		}
	})
}
