package remote

import (
	"context"
	"net"
	"net/netip"

	"github.com/dig-network/digstore/internal/netguard"
)

// A DialGuard decides which addresses a client may dial. It looks at the address after name
// resolution, so a public name that points into a private network is refused as well
// (remote/PROTOCOL.md 2.4). The zero Guard lets public addresses through and nothing else. It may
// be used concurrently; its fields may not be changed once it is in use.
type DialGuard struct {
	// AllowPrivate lets every address through: for a person at a terminal, who means what was typed.
	AllowPrivate bool
	// Networks are let through besides: the operator's own.
	Networks []netip.Prefix
}

// Check returns an error that matches [ErrInsecure] when the guard does not let a be dialled:
// private, loopback, link-local, shared (100.64.0.0/10), multicast, documentation and other
// reserved ranges, cloud metadata among them, and IPv6 forms that carry such an IPv4 address.
func (g *DialGuard) Check(a netip.Addr) error { return g.guard().Check(a) }

// CheckName refuses, like Check, names that stand for this machine whatever a resolver says of
// them.
func (g *DialGuard) CheckName(host string) error { return g.guard().CheckName(host) }

func (g *DialGuard) guard() *netguard.Guard {
	return &netguard.Guard{AllowPrivate: g.AllowPrivate, Networks: g.Networks, Refusal: ErrInsecure}
}

// dialer returns a dial function that the guard controls. With loopback set, a host that is
// literally loopback may reach loopback, and only that.
func (g *DialGuard) dialer(loopback bool) func(ctx context.Context, network,
	addr string) (net.Conn, error) {
	return g.guard().Dialer(dialTimeout, loopback)
}
