package server_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/server"
)

// slowAddress is the address of the slow clients, in X-Forwarded-For.
const slowAddress = "192.0.2.1"

// A slowClient has one request on a real connection, with a slow and endless body.
type slowClient struct {
	name   string
	conn   net.Conn
	status int // expected at once; 0: the server may wait for the body
}

// slow sends a request with a Content-Length of length. Its body begins with first and continues
// with 500 bytes each 100 ms.
func (s *site) slow(name, address string, r *http.Request, length int64, first []byte,
	status int) *slowClient {
	s.t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	var head bytes.Buffer
	r.Header.Set("X-Forwarded-For", slowAddress)
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", r.Method,
		r.URL.RequestURI(), address, length)
	if err := r.Header.Write(&head); err != nil {
		s.t.Fatal(err)
	}
	head.WriteString("\r\n")
	head.Write(first)
	if _, err := conn.Write(head.Bytes()); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		for range time.Tick(100 * time.Millisecond) {
			if _, err := conn.Write(make([]byte, 500)); err != nil {
				return
			}
		}
	}()
	return &slowClient{name, conn, status}
}

// answered checks that the response with c.status arrives at once.
func (c *slowClient) answered(t *testing.T) {
	t.Helper()
	began := time.Now()
	if c.status == 0 {
		return
	}
	if err := c.conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c.conn), nil)
	if err != nil {
		t.Fatalf("%s: no answer: %v", c.name, err)
	}
	if text, err := io.ReadAll(res.Body); res.StatusCode != c.status || err != nil {
		t.Errorf("%s: %d %q, %v; want %d", c.name, res.StatusCode, text, err, c.status)
	}
	if took := time.Since(began); took > 20*time.Second {
		// generous for a busy machine: the minimum rate would end it after 60 s
		t.Errorf("%s: the answer took %v", c.name, took)
	}
}

// TestSlowPushes: a push that cannot succeed is refused before its body arrives. Other slow pushes
// take at most their address's share of uploads and memory, and a publisher from another address
// can still push and read.
func TestSlowPushes(t *testing.T) {
	const each = 8
	attacker := key(0x77)
	own := auth.StoreIDFromKey(attacker.PublicKey())
	s := newSite(t, 2, nil)
	theirs := remotetest.NewMemory(own, s.now)
	mod, ownHead := s.build(own, attacker, 0)
	if err := theirs.Add(t.Context(), ownHead, bytes.NewReader(mod)); err != nil {
		t.Fatal(err)
	}
	limits := noLimit
	limits.Bodies = 8 << 20
	s.serve(remotetest.NewStores(s.now, s.memory, theirs), &server.Options{
		Limits: limits, Policy: server.TrustOnFirstUse{},
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := server.NewHTTPServer(s.server, nil)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() { srv.Close(); <-done })
	at := l.Addr().String()

	sign := func(store auth.StoreID, by *auth.Key, n byte) auth.SignedRoot {
		signed, err := auth.SignRoot(t.Context(), store, merkle.Hash{n, 1}, by)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	put := func(h auth.SignedRoot, parent merkle.Hash, hs ...header) *http.Request {
		return s.request("PUT", "/stores/"+h.Store.String()+"/module?root="+h.Root.String(), nil,
			append(hs, pushHeaders(h, parent))...)
	}
	recipe := make([]byte, 4+52) // declares 32 MiB packed and unpacked
	binary.BigEndian.PutUint32(recipe, 32<<20)
	copy(recipe[4:], "DIGRCPW1")
	copy(recipe[4+8:], ownHead.Root[:])
	binary.BigEndian.PutUint32(recipe[4+48:], 32<<20)

	honest := s.identity
	s.identity = key(0x78)
	var clients []*slowClient
	add := func(name string, r *http.Request, length int64, first []byte, status int) {
		clients = append(clients,
			s.slow(fmt.Sprintf("%s %d", name, len(clients)), at, r, length, first, status))
	}
	for i := range byte(each) {
		add("the head again", put(s.head(), s.heads[0].Root), 200<<20, nil, 200)
		add("an older root again", put(s.heads[0], merkle.Hash{}), 200<<20, nil, 409)
		add("somebody else's signature", put(sign(s.id, attacker, i), s.head().Root), 200<<20, nil, 403)
		junk := sign(auth.StoreID{9, i}, attacker, i)
		junk.Tagged[9] ^= 1
		junk.Untagged[9] ^= 1
		add("a junk signature", put(junk, merkle.Hash{},
			set("X-Dig-Store-Key", attacker.PublicKey().String())), 200<<20, nil, 403)
		wanted := 0
		if i >= 2 { // maxPeeksEach is 2
			wanted = 429
		}
		add("a junk signature, no key", put(junk, merkle.Hash{}), 200<<20, nil, wanted)
		if wanted = 0; i >= 4 {
			wanted = 429
		}
		add("a recipe",
			put(sign(own, attacker, i+100), ownHead.Root, set("Content-Type", "application/vnd.dig.recipe"),
				set("X-Dig-Recipe-Base", ownHead.Root.String())), 40<<20, recipe, wanted)
		add("a delta", s.request("POST", s.path("/delta"), nil, asJSON), 8<<20, []byte("{"), 0)
		add("a long delta", s.request("POST", s.path("/delta"), nil, asJSON), 8<<20,
			bytes.Repeat([]byte(" "), 70<<10), 0)
		if i < 4 { // these must take the upload slots before the others
			time.Sleep(300 * time.Millisecond)
		}
	}
	for _, c := range clients {
		c.answered(t)
	}
	s.identity = honest

	u, err := remote.ParseURL("http://" + at + s.path(""))
	if err != nil {
		t.Fatal(err)
	}
	client, err := remote.NewClient(u, &remote.ClientOptions{Identity: s.identity,
		Guard: &remote.DialGuard{AllowPrivate: true}, Attempts: 1, Now: s.now})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	// A first push of a new store, a push of a module and one of a recipe.
	mod, head := s.next()
	out, err := client.Put(t.Context(), remote.PutRequest{Head: head, Parent: s.head().Root,
		Size: int64(len(mod)), Hash: merkle.Sum(mod)}, bytes.NewReader(mod))
	if err != nil || out {
		t.Fatalf("an honest push beside %d slow ones: %v, %v", len(clients), out, err)
	}
	s.heads, s.modules = append(s.heads, head), append(s.modules, mod)
	base, err := s.memory.Recipe(t.Context(), head.Root)
	if err != nil {
		t.Fatal(err)
	}
	mod, head = s.next()
	other := remotetest.NewMemory(s.id, s.now)
	for i, h := range append(s.heads, head) {
		if err := other.Add(t.Context(), h, bytes.NewReader(append(s.modules, mod)[i])); err != nil {
			t.Fatal(err)
		}
	}
	next, err := other.Recipe(t.Context(), head.Root)
	if err != nil {
		t.Fatal(err)
	}
	out, err = client.PutRecipe(t.Context(), remote.PutRequest{Head: head, Parent: s.head().Root},
		next, base, bytes.NewReader(mod))
	if err != nil || out {
		t.Fatalf("an honest recipe beside %d slow ones: %v, %v", len(clients), out, err)
	}
	for _, r := range []*http.Request{
		s.request("POST", "http://"+at+s.path("/delta"), strings.NewReader(fmt.Sprintf(`{"to":%q,"have":[]}`, head.Root)), asJSON),
		s.request("POST", "http://"+at+s.path("/content"), strings.NewReader(contentBody(urn.RetrievalKey(s.id, "index.html"), head.Root, "")), asJSON),
	} {
		r.RequestURI = ""
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		if res.Body.Close(); res.StatusCode != 200 {
			t.Errorf("%s: %s", r.URL.Path, res.Status)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestRefusedBodies: a client that sends a body at full speed receives the response, not a reset,
// and the server reads at most 256 KiB of the body.
func TestRefusedBodies(t *testing.T) {
	s := newSite(t, 1, &server.Options{Limits: noLimit})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	counting := &countingListener{Listener: l}
	srv := server.NewHTTPServer(s.server, nil)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(counting) }()
	t.Cleanup(func() { srv.Close(); <-done })
	_, head := s.next()
	for _, tc := range []struct {
		name   string
		h      auth.SignedRoot
		hs     []header
		first  []byte // of the body; the rest is endless
		status int
	}{
		{"not signed", head, []header{set("X-Dig-Auth", "00")}, nil, 401},
		{"an older root", s.head(), nil, nil, 200},
		{"no module", head, nil, nil, 422},
		{"no module, waiting for leave", head, []header{set("Expect", "100-continue")}, nil, 422},
		{"refused, waiting for leave", head, []header{set("X-Dig-Auth", "00"), set("Expect", "100-continue")}, nil, 401},
	} {
		for range 5 {
			r := s.request("PUT", "http://"+l.Addr().String()+s.path("/module?root="+tc.h.Root.String()),
				io.LimitReader(endless(), 100<<20), append(tc.hs, pushHeaders(tc.h, s.head().Root))...)
			r.RequestURI, r.ContentLength = "", 100<<20
			transport := &http.Transport{ExpectContinueTimeout: 10 * time.Second}
			res, err := transport.RoundTrip(r)
			if err != nil {
				t.Errorf("%s: %v", tc.name, err)
				continue
			}
			if _, err := io.Copy(io.Discard, res.Body); res.StatusCode != tc.status || err != nil {
				t.Errorf("%s: %s, %v", tc.name, res.Status, err)
			}
			res.Body.Close()
			transport.CloseIdleConnections()
			if got := counting.last.Load().n.Load(); tc.status != 422 && got > 300<<10 {
				t.Errorf("%s: %d bytes were read", tc.name, got)
			}
		}
	}
}

// A countingListener counts the bytes that each connection reads. Each request of the test has its
// own connection, since the server may still drain the previous one.
type countingListener struct {
	net.Listener
	last atomic.Pointer[countingConn]
}

func (l *countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	counting := &countingConn{Conn: c}
	l.last.Store(counting)
	return counting, nil
}

type countingConn struct {
	net.Conn
	n atomic.Int64
}

func (c *countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.n.Add(int64(n))
	return n, err
}
