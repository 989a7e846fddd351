package remote

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// A Guard decides which addresses a client may dial. It looks at the address after name resolution, so a
// public name that points into a private network is refused as well (remote-protocol §12.15). The zero
// Guard lets public addresses through and nothing else. It may be used concurrently; its fields may not be
// changed once it is in use.
type Guard struct {
	// AllowPrivate lets every address through: for a person at a terminal, who means what was typed.
	AllowPrivate bool
	// Networks are let through besides: the operator's own.
	Networks []netip.Prefix
}

// special lists what is not a public unicast address. IPv6 outside 2000::/3 is refused without a list.
var special = func() (list []netip.Prefix) {
	for _, s := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
		"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
		"198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
		"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
	} {
		list = append(list, netip.MustParsePrefix(s))
	}
	return list
}()

var (
	globalV6 = netip.MustParsePrefix("2000::/3")
	nat64    = netip.MustParsePrefix("64:ff9b::/96")
)

// Check returns an error that matches [ErrInsecure] when the guard does not let a be dialled: private,
// loopback, link-local, shared (100.64.0.0/10), multicast, documentation and other reserved ranges, cloud
// metadata among them, and IPv6 forms that carry such an IPv4 address.
func (g *Guard) Check(a netip.Addr) error {
	bare := a.WithZone("").Unmap()
	if g.AllowPrivate || public(bare) {
		return nil
	}
	for _, n := range g.Networks {
		if n.Contains(bare) {
			return nil
		}
	}
	return fmt.Errorf("%w: %s is not a public address; allow its network if it is meant", ErrInsecure, a)
}

func public(a netip.Addr) bool {
	if !a.IsValid() {
		return false
	}
	if a.Is6() {
		if nat64.Contains(a) {
			b := a.As16()
			a = netip.AddrFrom4([4]byte(b[12:]))
		} else if !globalV6.Contains(a) {
			return false
		}
	}
	for _, p := range special {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// CheckName refuses, like Check, names that stand for this machine whatever a resolver says of them.
func (g *Guard) CheckName(host string) error {
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if !g.AllowPrivate && (name == "localhost" || strings.HasSuffix(name, ".localhost")) {
		return fmt.Errorf("%w: %s names this machine", ErrInsecure, name)
	}
	return nil
}

// control is the hook of net.Dialer: it sees the address that is about to be connected to.
func (g *Guard) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %q is no address: %v", ErrInsecure, address, err)
	}
	return g.Check(ap.Addr())
}

// loopbackNets is what a literally loopback origin may reach.
var loopbackNets = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// dialer returns a dial function that the guard controls. With loopback set, a host that is literally
// loopback may reach loopback, and only that.
func (g *Guard) dialer(timeout time.Duration, loopback bool) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, fmt.Errorf("remote: dial %q: %w", addr, err)
		}
		guard := g
		if loopback && loopbackHost(host) {
			guard = &Guard{Networks: loopbackNets}
		} else if err := g.CheckName(host); err != nil {
			return nil, err
		}
		d := net.Dialer{Timeout: timeout, ControlContext: guard.control}
		return d.DialContext(ctx, network, addr)
	}
}
