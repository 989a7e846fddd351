package remote_test

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/remote"
)

// TestGuardVectors checks the hosts of dig/ssrf-hosts.json against the locator's grammar, the
// names of the local machine and the address policy. It dials nothing.
func TestGuardVectors(t *testing.T) {
	var v struct {
		About string `json:"about"`
		Cases []struct {
			Host   string `json:"host"`
			Public bool   `json:"public"`
		} `json:"cases"`
	}
	vectors.Load(t, "dig/ssrf-hosts.json", &v)
	guard := new(remote.DialGuard)
	for _, c := range v.Cases {
		if err := admit(guard, c.Host); (err == nil) != c.Public {
			t.Errorf("%s: %v, want public %v", c.Host, err, c.Public)
		}
	}
	vectors.Count(t, "dig/ssrf-hosts.json", len(v.Cases), 0)
}

func admit(g *remote.DialGuard, host string) error {
	if strings.HasPrefix(host, "[") { // a zone is written as in a URL
		text, err := url.PathUnescape(strings.Trim(host, "[]"))
		if err != nil {
			return err
		}
		ip, err := netip.ParseAddr(text)
		if err != nil {
			return err
		}
		return g.Check(ip)
	}
	u, err := remote.ParseURL("dig://" + host + "/" + testID)
	if err != nil {
		return err
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
		return g.Check(ip)
	}
	return g.CheckName(u.Hostname())
}

// TestGuardNAT64 checks that the IPv4 address embedded in a NAT64 address decides.
func TestGuardNAT64(t *testing.T) {
	for addr, ok := range map[string]bool{
		"64:ff9b::8.8.8.8": true, "64:ff9b::10.1.2.3": false, "64:ff9b::127.0.0.1": false, "64:ff9b:1::8.8.8.8": false,
	} {
		if err := new(remote.DialGuard).Check(netip.MustParseAddr(addr)); (err == nil) != ok {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

func TestGuardExceptions(t *testing.T) {
	private := netip.MustParseAddr("10.1.2.3")
	for _, c := range []struct {
		name  string
		guard remote.DialGuard
		ok    bool
	}{
		{"zero", remote.DialGuard{}, false},
		{"its network", remote.DialGuard{Networks: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}}, true},
		{"another network", remote.DialGuard{Networks: []netip.Prefix{netip.MustParsePrefix("10.2.0.0/16")}}, false},
		{"all private ones", remote.DialGuard{AllowPrivate: true}, true},
	} {
		err := c.guard.Check(private)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, remote.ErrInsecure) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
