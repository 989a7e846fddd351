package server

import (
	"net/http"
	"net/netip"
	"strings"
)

// clientAddr is the address that a request is counted under: the peer's, or, when the peer is one
// of proxies, the last address in X-Forwarded-For that is not. What stands before that one was
// written by strangers. IPv6 addresses are cut to their /64, which one subscriber holds. The zero
// Addr stands for peers without an address (a socket file).
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
				break // the proxy's own word ends here: count what was said so far
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
