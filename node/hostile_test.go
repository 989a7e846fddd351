package node_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/capsule/capsuletest"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/node"
	"github.com/dig-network/digstore/node/api"
	"github.com/dig-network/digstore/node/storage"
)

// A bucket holds N requests, and gets one more in 60/N seconds.
func TestRateLimits(t *testing.T) {
	var clock atomic.Int64 // milliseconds
	now := func() time.Time { return time.UnixMilli(1_800_000_000_000 + clock.Load()) }
	st := storage.NewMemory(nil)
	g := capsuletest.Of(t, 1, []byte("x"))
	fill(t, st, g, storage.Meta{})
	n := start(t, node.Config{Storage: st, Now: now, Limits: node.Limits{Callers: api.Limits{
		Keys: map[string]float64{"gold": 2}}}, TrustedProxies: []netip.Prefix{
		netip.MustParsePrefix("127.0.0.0/8")}}, "")
	tests := []struct {
		path    string
		limit   int
		headers []string
	}{
		{fmt.Sprintf("/capsule/%v/0", g.Store), 100, nil},
		{"/network/peers", 60, nil},
		{"/network/peers", 60, []string{"X-API-Key", "not listed", "X-Forwarded-For", "10.1.1.1"}},
		{"/network/peers", 120, []string{"X-API-Key", "gold"}},
		{"/network/peers", 60, []string{"X-Forwarded-For", "10.9.9.9"}},
	}
	for _, tt := range tests {
		for i := range tt.limit {
			a := do(t, "GET", n.url+tt.path, nil, tt.headers...)
			left := strconv.Itoa(tt.limit - i - 1)
			if a.StatusCode != 200 || a.Header.Get("X-RateLimit-Remaining") != left {
				t.Fatalf("%s: request %d: status %d, remaining %q, expected %s", tt.path, i+1,
					a.StatusCode, a.Header.Get("X-RateLimit-Remaining"), left)
			}
		}
		a := do(t, "GET", n.url+tt.path, nil, tt.headers...)
		if a.code(t) != "rate_limited" || a.Header.Get("Retry-After") != "1" ||
			a.Header.Get("X-RateLimit-Limit") != strconv.Itoa(tt.limit) ||
			a.Header.Get("X-RateLimit-Reset") != "60" {
			t.Errorf("%s %q: headers %v", tt.path, tt.headers, a.Header)
		}
		if a := do(t, "GET", n.url+"/health", nil); a.StatusCode != 200 {
			t.Errorf("/health: status %d", a.StatusCode)
		}
	}
	clock.Add(600) // 60 s / 100
	for _, want := range []int{200, 429} {
		if a := do(t, "GET", n.url+tests[0].path, nil); a.StatusCode != want {
			t.Errorf("after 600 ms: status %d, expected %d", a.StatusCode, want)
		}
	}
}

// TestManyAddresses: callers from many addresses neither grow a table without limit nor affect the
// bucket of an earlier caller.
func TestManyAddresses(t *testing.T) {
	now := func() time.Time { return time.Unix(1_800_000_000, 0) }
	n := start(t, node.Config{Now: now, Limits: node.Limits{Callers: api.Limits{Tracked: 50,
		Requests: api.Bucket{PerMinute: 20}}}}, "")
	ask := func(addr string) int {
		r := httptest.NewRequest("GET", "/network/peers", nil)
		r.RemoteAddr = net.JoinHostPort(addr, "1000")
		w := httptest.NewRecorder()
		n.ServeHTTP(w, r)
		return w.Code
	}
	if got := ask("192.0.2.1"); got != 200 {
		t.Fatal(got)
	}
	refused := 0
	for i := range 2000 {
		if ask(fmt.Sprintf("2001:db8:%x::1", i)) == 429 {
			refused++
		}
	}
	if refused == 0 {
		t.Error("2000 addresses of a table of 50 were all served")
	}
	if got := ask("192.0.2.1"); got != 200 {
		t.Errorf("a caller from before: status %d", got)
	}
	// Addresses of one /64 are one.
	for i := range 30 {
		ask(fmt.Sprintf("2001:db8:ffff::%x", i))
	}
	st, err := n.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, used := range st.Callers {
		if used.Used > used.Limit {
			t.Errorf("%s: %d of %d", name, used.Used, used.Limit)
		}
	}
	if st.Callers["api_requests"].Refused == 0 {
		t.Error("refusals are not counted")
	}
}

// Malformed manifests, as bodies of pushes.
func TestHostileManifests(t *testing.T) {
	var file struct {
		Cases []struct{ Name, JSON, Verdict string }
	}
	vectors.Load(t, "dig/hostile-manifests.json", &file)
	n := start(t, node.Config{Limits: unlimited, Credential: credentials}, "")
	passed := 0
	for _, c := range file.Cases {
		text := strings.Replace(c.JSON, `"merkle_root": "`,
			`"merkle_tree": {"leaf_count": 2, "root": "`, 1)
		text = strings.Replace(text, `", "total_size"`, `"}, "total_size"`, 1)
		got := do(t, "POST", n.url+"/datastore/push", []byte(text), "Authorization", "Bearer owner")
		if got.StatusCode < 400 || got.StatusCode >= 500 {
			t.Errorf("%s: status %d: %.200s", c.Name, got.StatusCode, got.body)
			continue
		}
		passed++
	}
	vectors.Count(t, "dig/hostile-manifests.json", passed, 0)
	if got := do(t, "GET", n.url+"/health", nil); got.StatusCode != 200 {
		t.Errorf("/health: status %d", got.StatusCode)
	}
}

// raw opens a connection and sends text.
func raw(t *testing.T, url, text string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestSlowClients: clients that neither send nor receive are disconnected, and others are served at
// the same time.
func TestSlowClients(t *testing.T) {
	st := storage.NewMemory(nil)
	const size = 32 << 20 // more than the buffers of a connection take
	big := capsuletest.Split(t, 1, size, bytes.Repeat([]byte("0123456789abcdef"), size/16))
	fill(t, st, big, storage.Meta{})
	limits := unlimited
	limits.Idle = 300 * time.Millisecond
	limits.MaxReads = 4
	n := start(t, node.Config{Storage: st, Limits: limits, Credential: credentials}, "")
	var senders, takers []net.Conn
	for range 12 {
		senders = append(senders,
			raw(t, n.url, "POST /datastore/push HTTP/1.1\r\nHost: n\r\nAuthorization: Bearer owner\r\n"+
				"Content-Length: 1000000\r\n\r\n{\"datastore_id\": \"0x"))
		takers = append(takers,
			raw(t, n.url, fmt.Sprintf("GET /capsule/%v/0 HTTP/1.1\r\nHost: n\r\n\r\n", big.Store)))
	}
	for range 5 {
		got := do(t, "GET", fmt.Sprintf("%s/capsule/%v/0", n.url, big.Store), nil)
		if got.StatusCode != 200 || len(got.body) != size {
			t.Fatalf("an honest client: status %d, %d bytes", got.StatusCode, len(got.body))
		}
	}
	for i, c := range senders {
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.Copy(io.Discard, c); isTimeout(err) {
			t.Errorf("sender %d is connected still", i)
		}
	}
	if !vectors.Long(t) {
		return
	}
	time.Sleep(20 * time.Second) // a write of 64 KiB has 16 s besides
	for i, c := range takers {
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		got, err := io.Copy(io.Discard, c)
		if isTimeout(err) {
			t.Errorf("taker %d is connected still", i)
		}
		if got >= size {
			t.Errorf("taker %d was sent everything, %d bytes", i, got)
		}
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// TestGiantBodies: bodies that can only be refused are not read to their end, and all others share
// a budget.
func TestGiantBodies(t *testing.T) {
	n := start(t, node.Config{Limits: unlimited, Credential: credentials}, "")
	c := raw(t, n.url, "POST /datastore/push HTTP/1.1\r\nHost: n\r\n"+
		"Content-Length: 10737418240\r\n\r\n")
	go func() {
		chunk := bytes.Repeat([]byte(" "), 64<<10)
		for range 32 << 10 { // 2 GiB at most
			if _, err := c.Write(chunk); err != nil {
				return
			}
		}
	}()
	c.SetReadDeadline(time.Now().Add(time.Minute))
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 401 {
		t.Errorf("status %d, expected 401", res.StatusCode)
	}

	id := auth.StoreID{1}
	big := bytes.Repeat([]byte(" "), 24<<20)
	copy(big, `{"datastore_id":"0x`+id.String()+`","capsules":[`)
	var wg sync.WaitGroup
	var busy, refused atomic.Int64
	for range 8 {
		wg.Go(func() {
			req, _ := http.NewRequest("POST", n.url+"/datastore/push", bytes.NewReader(big))
			if err := request.Sign(req, request.Push, id, other); err != nil {
				t.Error(err)
				return
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				refused.Add(1) // cut off before it was read
				return
			}
			res.Body.Close()
			switch res.StatusCode {
			case 503:
				busy.Add(1)
			case 400, 401:
				refused.Add(1)
			default:
				t.Errorf("status %d", res.StatusCode)
			}
		})
	}
	wg.Wait()
	if busy.Load()+refused.Load() != 8 {
		t.Errorf("%d busy, %d refused of 8", busy.Load(), refused.Load())
	}
	if got := do(t, "GET", n.url+"/health", nil); got.StatusCode != 200 {
		t.Errorf("/health: status %d", got.StatusCode)
	}
}

// TestAdmin: authorization of the admin routes.
func TestAdmin(t *testing.T) {
	token := [32]byte{9}
	text := hex.EncodeToString(token[:])
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")}
	good := func() ([]byte, error) { return token[:], nil }
	tests := []struct {
		name    string
		gate    api.AdminGate
		from    string
		headers []string
		status  int
	}{
		{"no token", api.AdminGate{Token: good}, "127.0.0.1", nil, 401},
		{"wrong token", api.AdminGate{Token: good}, "127.0.0.1",
			[]string{"X-Dig-Control-Token", strings.Repeat("0", 64)}, 401},
		{"half a token", api.AdminGate{Token: good}, "127.0.0.1",
			[]string{"X-Dig-Control-Token", text[:32]}, 401},
		{"header", api.AdminGate{Token: good}, "127.0.0.1",
			[]string{"X-Dig-Control-Token", text}, 200},
		{"bearer", api.AdminGate{Token: good}, "::1",
			[]string{"Authorization", "Bearer " + text}, 200},
		{"private network", api.AdminGate{Token: good}, "192.168.1.2",
			[]string{"X-Dig-Control-Token", text}, 200},
		{"public address", api.AdminGate{Token: good}, "203.0.113.9",
			[]string{"X-Dig-Control-Token", text}, 403},
		{"public address, allowed", api.AdminGate{Token: good, Remote: true}, "203.0.113.9",
			[]string{"X-Dig-Control-Token", text}, 200},
		{"public client behind the proxy", api.AdminGate{Token: good, Proxies: proxies},
			"10.0.0.1", []string{"X-Dig-Control-Token", text, "X-Forwarded-For", "203.0.113.9"}, 403},
		{"private client behind the proxy", api.AdminGate{Token: good, Proxies: proxies},
			"10.0.0.1", []string{"X-Dig-Control-Token", text, "X-Forwarded-For", "10.0.0.7"}, 200},
		{"the proxy itself", api.AdminGate{Token: good, Proxies: proxies}, "10.0.0.1",
			[]string{"X-Dig-Control-Token", text}, 403},
		{"loopback while a proxy is configured", api.AdminGate{Token: good, Proxies: proxies},
			"127.0.0.1", []string{"X-Dig-Control-Token", text}, 403},
		{"no token file", api.AdminGate{Token: func() ([]byte, error) {
			return nil, io.ErrUnexpectedEOF
		}}, "127.0.0.1", []string{"X-Dig-Control-Token", text}, 503},
		{"empty token file", api.AdminGate{Token: func() ([]byte, error) { return nil, nil }},
			"127.0.0.1", []string{"X-Dig-Control-Token", ""}, 503},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := start(t, node.Config{Admin: tt.gate.Wrap}, "")
			for _, route := range []string{"GET /node/status", "POST /admin/gc?dry_run=1"} {
				method, path, _ := strings.Cut(route, " ")
				r := httptest.NewRequest(method, path, nil)
				r.RemoteAddr = net.JoinHostPort(tt.from, "1000")
				for i := 0; i+1 < len(tt.headers); i += 2 {
					r.Header.Set(tt.headers[i], tt.headers[i+1])
				}
				w := httptest.NewRecorder()
				n.ServeHTTP(w, r)
				status := w.Code
				if status == 202 {
					status = 200
				}
				if status != tt.status {
					t.Errorf("%s: status %d, expected %d: %s", route, w.Code, tt.status, w.Body)
				}
				if status >= 400 && w.Header().Get("Content-Type") != "application/problem+json" {
					t.Errorf("%s: headers %v", route, w.Header())
				}
			}
		})
	}
}
