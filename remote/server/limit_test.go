package server_test

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/netip"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/remote/server"
)

// noLimit is a Limits that refuses nothing.
var noLimit = server.Limits{
	PerIP:       server.Rate{PerSecond: math.Inf(1)},
	PerIdentity: server.Rate{PerSecond: math.Inf(1)},
	PerStore:    server.Rate{PerSecond: math.Inf(1)},
}

func from(addr string) header { return func(r *http.Request) { r.RemoteAddr = addr } }

func TestRates(t *testing.T) {
	three := server.Rate{PerSecond: 0.5, Burst: 3}
	get := func(s *site, hs ...header) *http.Response {
		return s.do("GET", s.path("/roots"), nil, hs...)
	}
	for _, tc := range []struct {
		name   string
		change func(*server.Limits)
		others func(s *site) *http.Response // a request that counts elsewhere
	}{
		{"by address", func(l *server.Limits) { l.PerIP = three }, func(s *site) *http.Response { return get(s, from("198.51.100.7:1")) }},
		{"by identity", func(l *server.Limits) { l.PerIdentity = three }, func(s *site) *http.Response {
			r := s.request("GET", s.path("/roots"), nil)
			r.Header.Del("X-Dig-Auth")
			s.sign(r, key(0x64))
			return s.answer(r)
		}},
		{"by store", func(l *server.Limits) { l.PerStore = three }, func(s *site) *http.Response {
			return s.do("GET", "/stores/"+auth.StoreID{1}.String()+"/roots", nil)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			limits := noLimit
			tc.change(&limits)
			s := newSite(t, 1, &server.Options{Limits: limits})
			for range 3 {
				want(t, get(s), 200, "*")
			}
			res := get(s)
			want(t, res, 429, "rate limited")
			if got := res.Header.Get("Retry-After"); got != "2" {
				t.Errorf("Retry-After %q, want 2", got)
			}
			if got := tc.others(s).StatusCode; got == 429 {
				t.Error("somebody else is limited too")
			}
			s.clock.Add(2)
			want(t, get(s), 200, "*")
			want(t, get(s), 429, "rate limited")
		})
	}
}

func TestAddressLimitComesBeforeSignatures(t *testing.T) {
	limits := noLimit
	limits.PerIP = server.Rate{PerSecond: 1, Burst: 1}
	s := newSite(t, 1, &server.Options{Limits: limits})
	unsigned := set("X-Dig-Auth", "-")
	want(t, s.do("GET", s.path(""), nil, unsigned), 401, "*")
	want(t, s.do("GET", s.path(""), nil, unsigned), 429, "rate limited")
}

func TestForwardedFor(t *testing.T) {
	limits := noLimit
	limits.PerIP = server.Rate{PerSecond: 0.001, Burst: 1}
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for _, tc := range []struct {
		name          string
		first, second []header
		same          bool
	}{
		{"two peers", []header{from("192.0.2.1:1")}, []header{from("192.0.2.2:1")}, false},
		{"two ports", []header{from("192.0.2.1:1")}, []header{from("192.0.2.1:2")}, true},
		{"one /64", []header{from("[2001:db8::1]:1")}, []header{from("[2001:db8::2]:1")}, true},
		{"two /64", []header{from("[2001:db8::1]:1")}, []header{from("[2001:db8:0:1::1]:1")}, false},
		{"a stranger's word", []header{from("192.0.2.1:1")}, []header{from("192.0.2.1:1"), set("X-Forwarded-For", "1.2.3.4")}, true},
		{"behind a proxy", []header{from("10.0.0.1:1"), set("X-Forwarded-For", "1.2.3.4")}, []header{from("10.0.0.1:1"), set("X-Forwarded-For", "1.2.3.5")}, false},
		{"behind two", []header{from("10.0.0.1:1"), set("X-Forwarded-For", "1.2.3.4")}, []header{from("10.0.0.2:1"), set("X-Forwarded-For", "1.2.3.4, 10.0.0.1")}, true},
		{"lies behind a proxy", []header{from("10.0.0.1:1"), set("X-Forwarded-For", "9.9.9.9, 1.2.3.4")}, []header{from("10.0.0.1:1"), set("X-Forwarded-For", "8.8.8.8, 1.2.3.4")}, true},
		{"noise behind a proxy", []header{from("10.0.0.1:1"), set("X-Forwarded-For", "x")}, []header{from("10.0.0.1:1"), set("X-Forwarded-For", "y")}, true},
		{"peers without an address", []header{from("@")}, []header{from("")}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSite(t, 1, &server.Options{Limits: limits, TrustedProxies: proxies})
			want(t, s.do("GET", s.path(""), nil, tc.first...), 200, "*")
			status := 200
			if tc.same {
				status = 429
			}
			want(t, s.do("GET", s.path(""), nil, tc.second...), status, "*")
		})
	}
}

func TestTablesAreBounded(t *testing.T) {
	limits := noLimit
	limits.PerIP = server.Rate{PerSecond: 0.001, Burst: 1}
	limits.Tracked = 4
	s := newSite(t, 1, &server.Options{Limits: limits, Anonymous: true})
	unsigned := set("X-Dig-Auth", "-")
	get := func(n int) int {
		return s.do("GET", s.path("/roots"), nil, unsigned,
			from(fmt.Sprintf("192.0.2.%d:1", n))).StatusCode
	}
	for n := range 5 {
		if got := get(n); got != 200 {
			t.Fatalf("address %d: %d", n, got)
		}
	}
	if got := get(4); got != 429 {
		t.Errorf("the last address: %d", got)
	}
	if got := get(0); got != 200 {
		t.Errorf("the first address is remembered among 4: %d", got)
	}
}

func TestUploadsAtOnce(t *testing.T) {
	for name, limit := range map[string]func(*server.Limits){
		"of all":          func(l *server.Limits) { l.Uploads = 1 },
		"of the store":    func(l *server.Limits) { l.UploadsPerStore = 1 },
		"of the address":  func(l *server.Limits) { l.UploadsPerAddress = 1 },
		"of the identity": func(l *server.Limits) { l.UploadsPerIdentity = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			limits := noLimit
			limit(&limits)
			uploadsAtOnce(t, limits)
		})
	}
}

// uploadsAtOnce sends two concurrent uploads with limits that allow one.
func uploadsAtOnce(t *testing.T, limits server.Limits) {
	s := newSite(t, 1, &server.Options{Limits: limits})
	mod, head := s.next()
	body, feed := io.Pipe()
	first := make(chan int)
	r := s.request("PUT", s.path("/module?root="+head.Root.String()), body,
		pushHeaders(head, s.head().Root))
	go func() { first <- s.answer(r).StatusCode }()
	if _, err := feed.Write(mod[:1]); err != nil { // returns when the server reads
		t.Fatal(err)
	}
	res := s.put(head, s.head().Root, mod)
	want(t, res, 429, "rate limited")
	if res.Header.Get("Retry-After") != "1" {
		t.Error("no Retry-After")
	}
	if _, err := io.Copy(feed, bytes.NewReader(mod[1:])); err != nil {
		t.Fatal(err)
	}
	feed.Close()
	if got := <-first; got != 201 {
		t.Fatalf("the first upload: %d", got)
	}
	want(t, s.put(head, s.head().Root, mod), 200, "")
}
