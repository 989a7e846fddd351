// Package netguard refuses to dial addresses that are not public: private networks, loopback,
// link-local addresses, metadata services of clouds. It checks an address after name resolution, so
// a public name that resolves to a private address is refused too.
package netguard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// A Guard decides which addresses may be dialled. It may be used concurrently; its fields may not
// be changed once it is in use. The zero Guard allows public addresses and no others.
type Guard struct {
	AllowPrivate bool           // allows every address
	Networks     []netip.Prefix // allowed besides
	Refusal      error          // what every refusal wraps; nil: ErrRefused
}

// ErrRefused is the address of a [Guard] without a Refusal that may not be dialled.
var ErrRefused = errors.New("address may not be dialled")

func (g *Guard) refuse(format string, args ...any) error {
	refusal := g.Refusal
	if refusal == nil {
		refusal = ErrRefused
	}
	return fmt.Errorf("%w: %w", refusal, fmt.Errorf(format, args...))
}

// special lists what is not a public unicast address. IPv6 outside 2000::/3 is refused without a
// list.
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

// Check returns an error when a may not be dialled: private, loopback, link-local, shared
// (100.64.0.0/10), multicast, documentation and other reserved ranges, cloud metadata among them,
// and IPv6 forms that carry such an IPv4 address.
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
	return g.refuse("%s is not a public address; allow its network if it is meant", a)
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

// CheckName returns an error for names that stand for this machine, whatever a resolver says of
// them.
func (g *Guard) CheckName(host string) error {
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if !g.AllowPrivate && (name == "localhost" || strings.HasSuffix(name, ".localhost")) {
		return g.refuse("%s names this machine", name)
	}
	return nil
}

// control is the hook of net.Dialer: it sees the address that is about to be connected to.
func (g *Guard) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return g.refuse("%q is no address: %v", address, err)
	}
	return g.Check(ap.Addr())
}

// loopbackNets is what a literally loopback origin may reach.
var loopbackNets = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("::1/128")}

// IsLoopback reports whether a host, without a port, is literally loopback: localhost, ::1 or an
// IPv4 address in 127.0.0.0/8.
func IsLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && (ip == netip.IPv6Loopback() || ip.Is4() && ip.IsLoopback())
}

// Dialer returns a dial function that the guard controls. With loopback set, a host for which
// [IsLoopback] holds may reach loopback, and only that.
func (g *Guard) Dialer(timeout time.Duration, loopback bool) func(ctx context.Context,
	network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, fmt.Errorf("dial %q: %w", addr, err)
		}
		guard := g
		if loopback && IsLoopback(host) {
			guard = &Guard{Networks: loopbackNets, Refusal: g.Refusal}
		} else if err := g.CheckName(host); err != nil {
			return nil, err
		}
		d := net.Dialer{Timeout: timeout, ControlContext: guard.control}
		return d.DialContext(ctx, network, addr)
	}
}
