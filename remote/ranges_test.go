package remote

import (
	"slices"
	"testing"
)

func TestReadContentRange(t *testing.T) {
	for text, want := range map[string]struct {
		at    Span
		total int64
		ok    bool
	}{
		"bytes 0-0/1":                    {Span{0, 1}, 1, true},
		"bytes 5-9/100":                  {Span{5, 5}, 100, true},
		"bytes 5-99/100":                 {Span{5, 95}, 100, true},
		"bytes 5-100/100":                {},
		"bytes 9-5/100":                  {},
		"bytes -5/100":                   {},
		"bytes 5-/100":                   {},
		"bytes 5-9/*":                    {},
		"bytes */100":                    {},
		"bytes 5-9":                      {},
		"lines 5-9/100":                  {},
		"bytes 5-9/99999999999999999999": {},
		"bytes 5-9/-100":                 {},
		"bytes +5-9/100":                 {},
		"bytes 5-9/100 ":                 {},
		"":                               {},
		"bytes 0-4611686018427387903/4611686018427387904": {},
	} {
		at, total, ok := readContentRange(text)
		if ok != want.ok || ok && (at != want.at || total != want.total) {
			t.Errorf("%q: %v of %d, %v", text, at, total, ok)
		}
	}
}

// TestBatch: neighbours are asked for as one, no more than so many at once, and what is done is not asked for.
func TestBatch(t *testing.T) {
	want := []Span{{0, 10}, {14, 6}, {300, 10}, {310, 5}, {1000, 1}}
	s := &spanning{want: want, done: make([]bool, len(want))}
	for _, tc := range []struct {
		n    int
		gap  int64
		done int // this one is, from now on
		want []Span
	}{
		{9, 256, -1, []Span{{0, 20}, {300, 15}, {1000, 1}}},
		{9, 3, -1, []Span{{0, 10}, {14, 6}, {300, 15}, {1000, 1}}},
		{1, 5000, -1, []Span{{0, 1001}}},
		{2, 256, -1, []Span{{0, 20}, {300, 15}}},
		{9, 256, 0, []Span{{14, 6}, {300, 15}, {1000, 1}}},
		{9, 256, 3, []Span{{14, 6}, {300, 10}, {1000, 1}}},
	} {
		if tc.done >= 0 {
			s.note(tc.done)
		}
		if got := s.batch(tc.n, tc.gap); !slices.Equal(got, tc.want) {
			t.Errorf("%d at most, %d between: %v, want %v", tc.n, tc.gap, got, tc.want)
		}
	}
}

func FuzzReadRanges(f *testing.F) {
	for _, s := range []string{"bytes=0-1", "bytes=0-1, 4-5", "bytes=5-", "bytes=-5", "bytes=0-1,1-2", "bytes=9223372036854775807-9223372036854775807"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ranges, ok := readRanges(s)
		if !ok {
			return
		}
		if len(ranges) == 0 || len(ranges) > maxServedRanges || checkSpans(ranges) != nil {
			t.Fatalf("%q gives %v", s, ranges)
		}
		if again, ok := readRanges(rangeHeader(ranges)); !ok || !slices.Equal(again, ranges) {
			t.Fatalf("%q gives %v and then %v", s, ranges, again)
		}
	})
}

func FuzzReadContentRange(f *testing.F) {
	f.Add("bytes 5-9/100")
	f.Add("bytes */100")
	f.Fuzz(func(t *testing.T, s string) {
		if at, total, ok := readContentRange(s); ok && (at.Offset < 0 || at.Length < 1 || at.end() > total) {
			t.Fatalf("%q gives %v of %d", s, at, total)
		}
	})
}
