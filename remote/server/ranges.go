package server

import (
	"net/http"
	"strings"

	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// servedRanges takes out of a request the ranges that are answered by the whole module, as a server
// may (RFC 9110 14.2): more than 256, or such that overlap or are out of order, which could make
// the answer far larger than the module; units other than bytes; and those of HEAD, which mean
// nothing.
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

// asksForLess reports whether a request asks for at most limit bytes of the module, and surely gets
// no more.
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
