package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/server"
)

// TestCheckHost: a web page cannot reach a server on loopback by DNS rebinding. Programs and listed
// proxy hosts can.
func TestCheckHost(t *testing.T) {
	srv :=
		httptest.NewServer(server.CheckHost(http.HandlerFunc(func(w http.ResponseWriter,
			_ *http.Request) {
			io.WriteString(w, "served")
		}), []string{"dig.example", "192.0.2.7"}))
	defer srv.Close()
	at := srv.Listener.Addr().String()
	_, port, err := net.SplitHostPort(at)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		host   string
		status int
	}{
		{at, 200}, {"127.0.0.1", 200}, {"localhost:" + port, 200}, {"LocalHost.", 200}, {"[::1]:" + port, 200},
		{"127.1.2.3", 200}, {"a.localhost", 200}, {"dig.example", 200}, {"DIG.example.:80", 200}, {"192.0.2.7:1", 200},
		{"evil.example", 421}, {"evil.example:" + port, 421}, {"127.0.0.1.evil.example", 421}, {"localhost.evil.example", 421},
		{"dig.example.evil.example", 421}, {"192.0.2.8", 421}, {"0.0.0.0", 421}, {"2130706433", 421}, {"evillocalhost", 421},
	} {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", tc.host)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != tc.status || (string(text) == "served") != (tc.status == 200) {
			t.Errorf("Host %q: %d %q, want %d", tc.host, res.StatusCode, text, tc.status)
		}
		c.Close()
	}
	// Connections to other addresses are not checked.
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), "GET", "http://any.example/", nil)
	far := context.WithValue(r.Context(), http.LocalAddrContextKey,
		net.Addr(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}))
	server.CheckHost(http.NotFoundHandler(), nil).ServeHTTP(w, r.WithContext(far))
	if w.Code != 404 {
		t.Errorf("on another address: %d", w.Code)
	}
}

type memories = remotetest.Stores // a field of its own name would hide its method Stores

// damaged is a backend that cannot read some heads.
type damaged struct {
	*memories
	bad map[auth.StoreID]bool
}

func (b damaged) Head(ctx context.Context, s auth.StoreID) (auth.SignedRoot, error) {
	if b.bad[s] {
		return auth.SignedRoot{}, errors.New("a pack is damaged")
	}
	return b.memories.Head(ctx, s)
}

// TestHealth: a damaged store is counted, and named only on loopback; the others are served.
func TestHealth(t *testing.T) {
	s := newSite(t, 1, nil)
	other := auth.StoreID{1}
	back := damaged{remotetest.NewStores(s.now, s.memory, remotetest.NewMemory(other, s.now)),
		map[auth.StoreID]bool{}}
	s.serve(back, nil)
	health := server.Health(s.server)
	type state struct {
		Status  string
		Stores  int
		Damaged int
		Names   []auth.StoreID `json:"damaged_stores"`
	}
	get := func(path, from string) (int, state) {
		t.Helper()
		s.clock.Add(6)
		r := httptest.NewRequestWithContext(t.Context(), "GET", path, nil)
		r.RemoteAddr = from
		w := httptest.NewRecorder()
		health.ServeHTTP(w, r)
		var v state
		if w.Code != 404 {
			if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
				t.Fatal(err)
			}
		}
		return w.Code, v
	}
	const here, far = "127.0.0.1:9", "192.0.2.1:9"
	for _, c := range []struct {
		bad    []auth.StoreID
		path   string
		from   string
		status int
		state  state
	}{
		{nil, "/healthz", far, 200, state{Status: "ok"}},
		{nil, "/readyz", far, 200, state{Status: "ok", Stores: 2}},
		{[]auth.StoreID{other}, "/readyz", far, 200, state{Status: "degraded", Stores: 1, Damaged: 1}},
		{[]auth.StoreID{other}, "/readyz", here, 200, state{Status: "degraded", Stores: 1, Damaged: 1, Names: []auth.StoreID{other}}},
		{[]auth.StoreID{other, s.id}, "/readyz", far, 503, state{Status: "unavailable", Damaged: 2}},
		{[]auth.StoreID{other, s.id}, "/healthz", far, 200, state{Status: "ok"}},
		{nil, "/else", far, 404, state{}},
	} {
		clear(back.bad)
		for _, id := range c.bad {
			back.bad[id] = true
		}
		status, got := get(c.path, c.from)
		if status != c.status || fmt.Sprint(got) != fmt.Sprint(c.state) {
			t.Errorf("%s with %d damaged: %d %+v, want %d %+v", c.path, len(c.bad), status,
				got, c.status, c.state)
		}
	}
	clear(back.bad)
	back.bad[other] = true
	want(t, s.do("GET", s.path(""), nil), 200, "*")
	want(t, s.do("GET", "/stores/"+other.String(), nil), 500, "internal server error")
}
