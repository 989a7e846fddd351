package server

import (
	"net/http"
	"net/netip"
	"time"
)

// An AddressLimit limits the request rate of each client address, for handlers beside a [Server].
// It works like [Limits].PerIP. Safe for concurrent use.
type AddressLimit struct {
	per     *buckets[netip.Addr]
	proxies []netip.Prefix
}

// NewAddressLimit returns a limit of r, by default 50 a second with a burst of 200, that tracks
// that many addresses, by default 16,384. proxies are the peers whose X-Forwarded-For is trusted.
func NewAddressLimit(r Rate, tracked int, proxies []netip.Prefix) *AddressLimit {
	l := Limits{PerIP: r, Tracked: tracked}.withDefaults()
	return &AddressLimit{newBuckets[netip.Addr](l.PerIP, l.Tracked), proxies}
}

// Take takes one token of the client address of r. If there is none, it returns how long to wait
// for the next one.
func (l *AddressLimit) Take(r *http.Request, now time.Time) (wait time.Duration) {
	return l.per.take(clientAddr(r, l.proxies), now)
}
