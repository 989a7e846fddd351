package remote

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/dig-network/digstore/merkle"
)

// maxServedRanges is how many ranges one request may ask for.
const maxServedRanges = 256

// servedRanges takes out of a request the ranges that are answered by the whole module, as a server may (RFC 9110
// 14.2): more than 256, or such that overlap or are out of order, which could make the answer far larger than the
// module; units other than bytes; and those of HEAD, which mean nothing.
func servedRanges(r *http.Request) *http.Request {
	rng := r.Header.Values("Range")
	if len(rng) == 0 {
		return r
	}
	if len(rng) == 1 && r.Method != http.MethodHead {
		single := strings.HasPrefix(rng[0], "bytes=") && !strings.Contains(rng[0], ",")
		if _, ok := readRanges(rng[0]); ok || single {
			return r
		}
	}
	c := *r
	c.Header = r.Header.Clone()
	c.Header.Del("Range")
	return &c
}

// readRanges reads "bytes=first-last,…": ascending, apart, at most 256.
func readRanges(s string) (ranges []Span, ok bool) {
	s, ok = strings.CutPrefix(s, "bytes=")
	if !ok || len(s) > 45*maxServedRanges {
		return nil, false
	}
	at := int64(0)
	for item := range strings.SplitSeq(s, ",") {
		first, last, ok := strings.Cut(strings.TrimSpace(item), "-")
		a, err1 := strconv.ParseUint(first, 10, 62)
		b, err2 := strconv.ParseUint(last, 10, 62)
		if !ok || err1 != nil || err2 != nil || int64(a) < at || b < a || len(ranges) == maxServedRanges {
			return nil, false
		}
		at = int64(b) + 1
		ranges = append(ranges, Span{int64(a), at - int64(a)})
	}
	return ranges, true
}

// asksForLess reports whether a request asks for at most limit bytes of the module, and surely gets no more.
func asksForLess(r *http.Request, root merkle.Hash, limit int64) bool {
	ranges, ok := readRanges(strings.Join(r.Header.Values("Range"), ","))
	if tag := r.Header.Get("If-Range"); !ok || tag != "" && tag != etag(root) {
		return false
	}
	for _, at := range ranges {
		limit -= at.Length
	}
	return limit >= 0
}
