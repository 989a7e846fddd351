package server

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/dig-network/digstore/internal/netguard"
)

// CheckHost returns a handler that wraps h and protects a server on loopback from DNS rebinding: on
// a connection to a loopback address it refuses a request whose Host is neither loopback nor one of
// hosts (421). Otherwise a web page could point its own name to the loopback address and read the
// responses as same-origin. hosts are names or addresses without a port, such as the name that a
// reverse proxy sends. Connections to other addresses are not checked.
func CheckHost(h http.Handler, hosts []string) http.Handler {
	allowed := make(map[string]bool, len(hosts))
	for _, host := range hosts {
		allowed[canonicalHost(host)] = true
	}
	names := func(host string) bool {
		host = canonicalHost(host)
		return netguard.IsLoopback(host) || strings.HasSuffix(host, ".localhost") || allowed[host]
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); !ok ||
			!onLoopback(local.String()) {
			h.ServeHTTP(w, r)
			return
		}
		if !names(hostOnly(r.Host)) {
			writeRefusal(w, r,
				refuse(http.StatusMisdirectedRequest, "misdirected request: this host is not served here"))
			return
		}
		h.ServeHTTP(w, r)
	})
}

// hostOnly returns the host of a Host header, which may have a port.
func hostOnly(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}

// canonicalHost returns the spelling of host that is compared.
func canonicalHost(host string) string {
	host = strings.ToLower(strings.TrimSuffix(hostOnly(host), "."))
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().String()
	}
	return host
}
