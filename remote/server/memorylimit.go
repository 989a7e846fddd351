package server

import (
	"net/http"
	"net/netip"
)

// A MemoryLimit bounds the bytes that requests hold, in total and for each client address. It is
// for handlers beside a [Server]. Safe for concurrent use.
type MemoryLimit struct {
	bytes   budget
	proxies []netip.Prefix
}

// NewMemoryLimit returns a limit of total bytes, of which one address may hold perAddress. proxies
// are the peers whose X-Forwarded-For is trusted.
func NewMemoryLimit(total, perAddress int64, proxies []netip.Prefix) *MemoryLimit {
	return &MemoryLimit{budget{total: total, perAddress: perAddress}, proxies}
}

// For returns an empty share for the request r. The caller releases it.
func (l *MemoryLimit) For(r *http.Request) *MemoryShare {
	return &MemoryShare{share{of: &l.bytes, by: holder{address: clientAddr(r, l.proxies)}}}
}

// A MemoryShare is what one request holds of a [MemoryLimit]. Not safe for concurrent use.
type MemoryShare struct{ share share }

// Grow takes n more bytes. It reports false and takes nothing if that would exceed the limit.
func (s *MemoryShare) Grow(n int64) bool { return s.share.grow(n) }

// Release gives back all that is held.
func (s *MemoryShare) Release() { s.share.release() }
