package wire

import (
	"strconv"
	"strings"
)

// A Span is consecutive bytes of a module.
type Span struct{ Offset, Length int64 }

// End returns the offset after the last byte.
func (s Span) End() int64 { return s.Offset + s.Length }

// MaxRanges is how many ranges one request may have.
const MaxRanges = 256

// ParseRanges reads "bytes=first-last,…": at most MaxRanges ranges, ascending, without overlap.
func ParseRanges(s string) (ranges []Span, ok bool) {
	s, ok = strings.CutPrefix(s, "bytes=")
	if !ok || len(s) > 45*MaxRanges {
		return nil, false
	}
	at := int64(0)
	for item := range strings.SplitSeq(s, ",") {
		first, last, ok := strings.Cut(strings.TrimSpace(item), "-")
		a, err1 := strconv.ParseUint(first, 10, 62)
		b, err2 := strconv.ParseUint(last, 10, 62)
		if !ok || err1 != nil || err2 != nil || int64(a) < at || b < a || len(ranges) == MaxRanges {
			return nil, false
		}
		at = int64(b) + 1
		ranges = append(ranges, Span{int64(a), at - int64(a)})
	}
	return ranges, true
}

// ParseContentRange reads "bytes first-last/total".
func ParseContentRange(s string) (at Span, total int64, ok bool) {
	s, ok = strings.CutPrefix(s, "bytes ")
	if !ok {
		return at, 0, false
	}
	span, size, ok1 := strings.Cut(s, "/")
	first, last, ok2 := strings.Cut(span, "-")
	if !ok1 || !ok2 {
		return at, 0, false
	}
	var n [3]uint64
	for i, text := range []string{first, last, size} {
		var err error
		if n[i], err = strconv.ParseUint(text, 10, 62); err != nil {
			return at, 0, false
		}
	}
	return Span{int64(n[0]), int64(n[1] - n[0] + 1)}, int64(n[2]), n[0] <= n[1] && n[1] < n[2]
}

// ParseUnsatisfied reads "bytes */total", the Content-Range of status 416.
func ParseUnsatisfied(s string) (total int64, ok bool) {
	s, ok = strings.CutPrefix(s, "bytes */")
	n, err := strconv.ParseUint(s, 10, 62)
	return int64(n), ok && err == nil
}
