package api

import (
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"time"
)

// A variant describes a response body, for conditional requests and caches.
type variant struct {
	etag     string    // with quotes, strong
	modified time.Time // zero: unknown
}

// outcome is the result of the conditional headers of a request.
type outcome int

const (
	proceed     outcome = iota
	notModified         // 304
	failed              // 412
)

// check evaluates the conditional headers except If-Range.
func (v variant) check(h http.Header) outcome {
	if match := h.Get("If-Match"); match != "" {
		if !v.listed(match, false) {
			return failed
		}
	} else if since, ok := date(h.Get("If-Unmodified-Since")); ok && !v.modified.IsZero() {
		if v.modified.Truncate(time.Second).After(since) {
			return failed
		}
	}
	if none := h.Get("If-None-Match"); none != "" {
		if v.listed(none, true) {
			return notModified
		}
		return proceed
	}
	since, ok := date(h.Get("If-Modified-Since"))
	if ok && !v.modified.IsZero() && !v.modified.Truncate(time.Second).After(since) {
		return notModified
	}
	return proceed
}

func date(s string) (time.Time, bool) {
	t, err := http.ParseTime(s)
	return t, err == nil
}

// listed reports whether a list of entity tags contains that of v. Weak tags match only if weak is
// set. A malformed list ends at the error.
func (v variant) listed(list string, weak bool) bool {
	for list = textproto.TrimString(list); list != ""; {
		if list[0] == '*' {
			return true
		}
		tag := strings.TrimPrefix(list, "W/")
		isWeak := len(tag) < len(list)
		if !strings.HasPrefix(tag, `"`) {
			return false
		}
		end := strings.IndexByte(tag[1:], '"')
		if end < 0 {
			return false
		}
		if tag[:end+2] == v.etag && (weak || !isWeak) {
			return true
		}
		list = strings.TrimLeft(tag[end+2:], " \t,")
	}
	return false
}

// part is a range of bytes of a body.
type part struct {
	off, n int64
}

// ranged returns the range that a request asks for. ok is false, for the whole body, if there is no
// range, several, or a malformed one, or if If-Range does not match. A range beyond the end is
// unsatisfiable.
func (v variant) ranged(h http.Header, size int64) (p part, ok, unsatisfiable bool) {
	values := h.Values("Range")
	if len(values) != 1 {
		return part{}, false, false
	}
	if cond := h.Get("If-Range"); cond != "" && !v.sameAs(cond) {
		return part{}, false, false
	}
	unit, spec, found := strings.Cut(values[0], "=")
	if !found || !strings.EqualFold(textproto.TrimString(unit), "bytes") {
		return part{}, false, false
	}
	first, last, found := strings.Cut(textproto.TrimString(spec), "-")
	if !found {
		return part{}, false, false
	}
	if first == "" { // the last bytes
		n, ok := decimal(last)
		switch {
		case !ok:
			return part{}, false, false
		case n == 0 || size == 0:
			return part{}, false, true
		}
		n = min(n, size)
		return part{size - n, n}, true, false
	}
	from, ok := decimal(first)
	if !ok {
		return part{}, false, false
	}
	to := size - 1
	if last != "" {
		end, ok := decimal(last)
		if !ok || end < from {
			return part{}, false, false
		}
		to = min(to, end)
	}
	if from >= size {
		return part{}, false, true
	}
	return part{from, to - from + 1}, true, false
}

// sameAs reports whether If-Range names v: by its strong tag, or by its exact date.
func (v variant) sameAs(cond string) bool {
	if strings.HasPrefix(cond, `"`) {
		return cond == v.etag
	}
	t, ok := date(cond)
	return ok && !v.modified.IsZero() && v.modified.Truncate(time.Second).Equal(t)
}

// decimal parses digits. A number that is too large becomes the largest.
func decimal(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, _ := strconv.ParseInt(s, 10, 64) // the largest when it is out of range
	return n, true
}
