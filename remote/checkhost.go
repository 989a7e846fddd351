package remote

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// CheckHost returns a handler that answers as h does, and protects a server on loopback from web pages: on a connection
// to a loopback address it refuses requests whose Host names something else than loopback and hosts (421), and those
// whose Origin does (403). A page can make a browser send requests to a loopback address, under its own name by DNS
// rebinding, and under the address itself. hosts are names or addresses without a port, such as the name under which a
// proxy in front passes requests on. Connections to other addresses are not looked at.
func CheckHost(h http.Handler, hosts []string) http.Handler {
	allowed := make(map[string]bool, len(hosts))
	for _, host := range hosts {
		allowed[canonicalHost(host)] = true
	}
	names := func(host string) bool {
		host = canonicalHost(host)
		return loopbackHost(host) || strings.HasSuffix(host, ".localhost") || allowed[host]
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); !ok || !onLoopback(local.String()) {
			h.ServeHTTP(w, r)
			return
		}
		if !names(hostOnly(r.Host)) {
			writeRefusal(w, r, refuse(http.StatusMisdirectedRequest, "misdirected request: this host is not served here"))
			return
		}
		for _, origin := range r.Header.Values("Origin") {
			u, err := url.Parse(origin)
			if err != nil || !names(u.Hostname()) {
				writeRefusal(w, r, refuse(http.StatusForbidden, "web pages of this origin are not answered here"))
				return
			}
		}
		h.ServeHTTP(w, r)
	})
}

// hostOnly is the host of a Host header, which may have a port.
func hostOnly(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}

// canonicalHost is the one spelling of a host that is compared.
func canonicalHost(host string) string {
	host = strings.ToLower(strings.TrimSuffix(hostOnly(host), "."))
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().String()
	}
	return host
}
