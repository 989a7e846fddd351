package api

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/time/rate"
)

func countCPUs() int { return runtime.GOMAXPROCS(0) }

// countedBody counts the bytes of a body that were read.
type countedBody struct {
	io.ReadCloser
	n int64
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	return n, err
}

// answer is a ResponseWriter that counts the bytes sent.
type answer struct {
	http.ResponseWriter
	status   int // 0: not begun
	sent     int64
	throttle *throttle
	ctx      context.Context
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= 200 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	if err := a.throttle.wait(a.ctx, len(p)); err != nil {
		return 0, err
	}
	n, err := a.ResponseWriter.Write(p)
	a.sent += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// throttle limits the bytes sent in a second.
type throttle struct{ limiter *rate.Limiter }

// copySize is the size of a write in bytes.
const copySize = 64 << 10

func newThrottle(perSecond int64) *throttle {
	if perSecond <= 0 {
		return &throttle{}
	}
	return &throttle{rate.NewLimiter(rate.Limit(perSecond), copySize)}
}

func (t *throttle) wait(ctx context.Context, n int) error {
	if t.limiter == nil {
		return nil
	}
	for n > 0 {
		step := min(n, copySize)
		if err := t.limiter.WaitN(ctx, step); err != nil {
			return err
		}
		n -= step
	}
	return nil
}

// adminWriter is given to Options.Admin. It turns a status without a body into a problem.
type adminWriter struct {
	*answer
	c *call
}

// WriteHeader sends a problem for an error status without a body.
func (a adminWriter) WriteHeader(status int) {
	if status < 400 || a.Header().Get("Content-Type") != "" {
		a.answer.WriteHeader(status)
		return
	}
	code := Forbidden
	switch status {
	case http.StatusUnauthorized:
		code = Unauthorized
	case http.StatusServiceUnavailable:
		code = NotReady
	case http.StatusNotFound:
		code = RouteNotFound
	}
	writeProblem(a.answer, a.c.Request, a.c.id, &Error{Code: code})
}

// peerAddr returns the address of the other end of the connection.
func peerAddr(r *http.Request) (netip.Addr, bool) {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}, false
	}
	return ap.Addr().Unmap().WithZone(""), true
}

// forwardedAddr returns the address of the client: that of the peer, or if the peer is one of
// proxies, the last address in X-Forwarded-For that is not one of them.
func forwardedAddr(r *http.Request, proxies []netip.Prefix) netip.Addr {
	addr, _ := peerAddr(r)
	if !among(addr, proxies) {
		return addr
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break // earlier addresses are not from a trusted proxy
		}
		addr = hop.Unmap().WithZone("")
		if !among(addr, proxies) {
			break
		}
	}
	return addr
}

// clientAddr returns the address under which a client is counted: for IPv6 its /64.
func clientAddr(r *http.Request, proxies []netip.Prefix) netip.Addr {
	addr := forwardedAddr(r, proxies)
	if addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			addr = p.Addr()
		}
	}
	return addr
}

func among(a netip.Addr, in []netip.Prefix) bool {
	for _, p := range in {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func addressKey(a netip.Addr) callerKey {
	b := a.As16()
	return callerKey{'a', string(b[:])}
}

// acceptsJSON reports whether the client accepts JSON.
func acceptsJSON(h http.Header) bool {
	values := h.Values("Accept")
	if len(values) == 0 {
		return true
	}
	best, found := 0.0, -1 // the most specific range that matches decides
	for _, item := range strings.Split(strings.Join(values, ","), ",") {
		media, params, _ := strings.Cut(item, ";")
		specific := -1
		switch strings.ToLower(strings.TrimSpace(media)) {
		case "*/*":
			specific = 0
		case "application/*":
			specific = 1
		case "application/json":
			specific = 2
		}
		if specific < 0 || specific < found {
			continue
		}
		q := quality(params)
		if specific > found || q > best {
			best, found = q, specific
		}
	}
	return best > 0
}

// quality returns the value of the parameter q, 1 without one.
func quality(params string) float64 {
	for _, p := range strings.Split(params, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if !strings.EqualFold(strings.TrimSpace(name), "q") {
			continue
		}
		q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil || q < 0 || q > 1 {
			return 0
		}
		return q
	}
	return 1
}

// acceptsEncoding reports whether the client names a content coding and does not refuse it.
func acceptsEncoding(h http.Header, coding string) bool {
	for _, item := range strings.Split(strings.Join(h.Values("Accept-Encoding"), ","), ",") {
		name, params, _ := strings.Cut(item, ";")
		if strings.EqualFold(strings.TrimSpace(name), coding) {
			return quality(params) > 0
		}
	}
	return false
}
