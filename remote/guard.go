package remote

import (
	"context"
	"net"
	"net/netip"

	"github.com/dig-network/digstore/internal/netguard"
)

// A DialGuard decides which addresses a client may dial. It checks the address after name
// resolution, so it also refuses a public name that resolves to a private address
// (remote/PROTOCOL.md 2.4). The zero DialGuard allows only public addresses. It may be used
// concurrently. Its fields must not be changed while it is in use.
type DialGuard struct {
	// AllowPrivate allows every address, for interactive use where the user typed the address.
	AllowPrivate bool
	// Networks are further allowed networks, such as the operator's own.
	Networks []netip.Prefix
}

// Check returns an error that matches [ErrInsecure] if the guard refuses a: private, loopback,
// link-local, shared (100.64.0.0/10), multicast, documentation and other reserved ranges, including
// cloud metadata, and IPv6 forms that embed such an IPv4 address.
func (g *DialGuard) Check(a netip.Addr) error { return g.guard().Check(a) }

// CheckName is like Check for a host name. It refuses names that mean the local machine however
// they resolve.
func (g *DialGuard) CheckName(host string) error { return g.guard().CheckName(host) }

func (g *DialGuard) guard() *netguard.Guard {
	return &netguard.Guard{AllowPrivate: g.AllowPrivate, Networks: g.Networks, Refusal: ErrInsecure}
}

// dialer returns a dial function that enforces the guard. With loopback set, a host that is
// literally loopback may reach loopback addresses, and only those.
func (g *DialGuard) dialer(loopback bool) func(ctx context.Context, network,
	addr string) (net.Conn, error) {
	return g.guard().Dialer(dialTimeout, loopback)
}
