package server

import (
	"net/http"
	"net/netip"
	"strings"
)

// clientAddr returns the client address of r for rate limits: the peer's address or, if the peer is
// one of proxies, the last address in X-Forwarded-For that is not. Earlier addresses are not
// trusted. An IPv6 address is cut to its /64, which one subscriber holds. A peer without an address
// (a socket file) has the zero Addr.
func clientAddr(r *http.Request, proxies []netip.Prefix) netip.Addr {
	var addr netip.Addr
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		addr = ap.Addr().Unmap()
	}
	if among(addr, proxies) {
		hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		for i := len(hops) - 1; i >= 0; i-- {
			hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
			if err != nil {
				break // use the last valid address
			}
			addr = hop.Unmap()
			if !among(addr, proxies) {
				break
			}
		}
	}
	addr = addr.WithZone("")
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
