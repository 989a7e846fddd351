package server

import (
	"net/http"
	"strconv"
	"strings"
)

// wantsJSON reports whether a request's Accept prefers application/json to text/plain. Without a
// preference it is false, since the reference sends plain text (remote/PROTOCOL.md 4.2).
func wantsJSON(h http.Header) bool {
	accept := strings.Join(h.Values("Accept"), ",")
	if accept == "" {
		return false
	}
	return quality(accept, "application", "json") > quality(accept, "text", "plain")
}

// quality returns the weight of a media type in an Accept header: that of the most specific range
// (RFC 9110 12.5.1).
func quality(accept, major, minor string) float64 {
	weight, exact := 0.0, 0
	for item := range strings.SplitSeq(accept, ",") {
		rng, params, _ := strings.Cut(item, ";")
		a, b, ok := strings.Cut(strings.TrimSpace(rng), "/")
		if !ok {
			continue
		}
		rank := 0
		switch {
		case strings.EqualFold(a, major) && strings.EqualFold(b, minor):
			rank = 3
		case strings.EqualFold(a, major) && b == "*":
			rank = 2
		case a == "*" && b == "*":
			rank = 1
		}
		if rank > exact {
			weight, exact = qvalue(params), rank
		}
	}
	return weight
}

// qvalue returns the parameter q. It is 1 if absent, and 0 if it is no number from 0 to 1.
func qvalue(params string) float64 {
	for p := range strings.SplitSeq(params, ";") {
		k, v, ok := strings.Cut(strings.TrimSpace(p), "=")
		if !ok || !strings.EqualFold(strings.TrimSpace(k), "q") {
			continue
		}
		q, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		if err != nil || !(q >= 0 && q <= 1) {
			return 0
		}
		return q
	}
	return 1
}
