package server

import (
	"net/http"
	"net/netip"
)

// A MemoryLimit bounds the bytes that are held for requests at the same time, in total and for one
// address: for handlers beside a [Server]. Safe for concurrent use.
type MemoryLimit struct {
	bytes   budget
	proxies []netip.Prefix
}

// NewMemoryLimit returns a limit of total bytes, of which one address may hold perAddress. proxies
// are the peers whose X-Forwarded-For is believed.
func NewMemoryLimit(total, perAddress int64, proxies []netip.Prefix) *MemoryLimit {
	return &MemoryLimit{budget{total: total, perAddress: perAddress}, proxies}
}

// For returns what the request r holds, which is nothing yet. The caller releases it.
func (l *MemoryLimit) For(r *http.Request) *MemoryShare {
	return &MemoryShare{share{of: &l.bytes, by: holder{address: clientAddr(r, l.proxies)}}}
}

// A MemoryShare is what one request holds of a [MemoryLimit]. Not safe for concurrent use.
type MemoryShare struct{ share share }

// Grow takes n more bytes. It reports false, and takes nothing, when the limit does not allow them.
func (s *MemoryShare) Grow(n int64) bool { return s.share.grow(n) }

// Release gives back all that is held.
func (s *MemoryShare) Release() { s.share.release() }
