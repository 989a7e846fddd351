package server

import (
	"net/http"
	"net/netip"
	"time"
)

// An AddressLimit bounds how often one address may ask, as [Limits].PerIP does for a [Server]: for
// handlers beside it. Safe for concurrent use.
type AddressLimit struct {
	per     *buckets[netip.Addr]
	proxies []netip.Prefix
}

// NewAddressLimit returns a limit of r, by default 50 a second with a burst of 200, that remembers
// so many addresses, by default 16,384. proxies are the peers whose X-Forwarded-For is believed.
func NewAddressLimit(r Rate, tracked int, proxies []netip.Prefix) *AddressLimit {
	l := Limits{PerIP: r, Tracked: tracked}.withDefaults()
	return &AddressLimit{newBuckets[netip.Addr](l.PerIP, l.Tracked), proxies}
}

// Take spends one request of the address that r comes from, or says how long to wait for the next.
func (l *AddressLimit) Take(r *http.Request, now time.Time) (wait time.Duration) {
	return l.per.take(clientAddr(r, l.proxies), now)
}
