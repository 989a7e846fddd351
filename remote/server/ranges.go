package server

import (
	"net/http"
	"strings"

	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// servedRanges returns r without its Range header if the response is the whole module (RFC 9110
// 14.2): for more than 256 ranges, for ranges that overlap or are out of order, which could make
// the response far larger than the module, for units other than bytes, and for HEAD, where ranges
// have no meaning.
func servedRanges(r *http.Request) *http.Request {
	rng := r.Header.Values("Range")
	if len(rng) == 0 {
		return r
	}
	if len(rng) == 1 && r.Method != http.MethodHead {
		single := strings.HasPrefix(rng[0], "bytes=") && !strings.Contains(rng[0], ",")
		if _, ok := wire.ParseRanges(rng[0]); ok || single {
			return r
		}
	}
	c := *r
	c.Header = r.Header.Clone()
	c.Header.Del("Range")
	return &c
}

// asksForLess reports whether the response to a request has at most limit bytes of the module.
func asksForLess(r *http.Request, root merkle.Hash, limit int64) bool {
	ranges, ok := wire.ParseRanges(strings.Join(r.Header.Values("Range"), ","))
	if tag := r.Header.Get("If-Range"); !ok || tag != "" && tag != wire.ETag(root) {
		return false
	}
	for _, at := range ranges {
		limit -= at.Length
	}
	return limit >= 0
}
