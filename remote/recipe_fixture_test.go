package remote_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/server"
)

// manyFiles returns n incompressible files of 0.5 to 3 KB, and large ones of several chunks.
// Generation g differs from generation g-1 in one of twenty files and in the end of the first
// large one.
func manyFiles(n, g int) fstest.MapFS {
	all := fstest.MapFS{}
	for i := range n {
		born := 0
		for k := 1; k <= g; k++ {
			if i%20 == k*7%20 {
				born = k
			}
		}
		all[fmt.Sprintf("d%d/%d", i%7, i)] = &fstest.MapFile{Data: noise(uint64(i)<<16|uint64(born),
			500+i*7919%2500)}
	}
	large := append(noise(1, 200<<10), noise(uint64(g)+2, 2000)...)
	all["large"] = &fstest.MapFile{Data: large}
	for k := range uint64(3) {
		all[fmt.Sprint("large ", k)] = &fstest.MapFile{Data: noise(100+k, 150<<10)}
	}
	return all
}

func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24),
		byte(seed >> 32)}).Read(b)
	return b
}

// grown returns a site with generations 0 to g of n files, its line, and a store that holds
// generation 0 of them.
func grown(t testing.TB, n, g int, o *server.Options) (*site, *line, *remotetest.Memory) {
	t.Helper()
	s := newSite(t, 0, o)
	s.grow(n, 0)
	l := s.listen()
	to := remotetest.NewMemory(s.id, nil)
	if _, err := remote.Clone(t.Context(), to, s.client(l, nil),
		remote.Trust{FirstUse: true}); err != nil {
		t.Fatal(err)
	}
	for k := 1; k <= g; k++ {
		s.grow(n, k)
	}
	l.requests()
	return s, l, to
}

// grow publishes generation g of n files.
func (s *site) grow(n, g int) {
	s.t.Helper()
	head, err := s.memory.Publish(s.t.Context(), s.publisher, manyFiles(n, g))
	if err != nil {
		s.t.Fatal(err)
	}
	s.heads = append(s.heads, head)
}

// recipe returns the recipe of a generation of the site.
func (s *site) recipe(g int) *module.Recipe {
	s.t.Helper()
	r, err := s.memory.Recipe(s.t.Context(), s.heads[g].Root)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// changed returns the number of bytes of the chunks that b has and a lacks.
func changed(a, b *module.Recipe) (n int64) {
	for _, c := range b.Pool() {
		if !slices.Contains(a.Pool(), c) {
			n += int64(c.Len)
		}
	}
	return n
}

// A meter counts the bytes of connections in both directions.
type meter struct{ bytes atomic.Int64 }

func (m *meter) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	return meteredConn{c, m}, err
}

type meteredConn struct {
	net.Conn
	m *meter
}

func (c meteredConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.m.bytes.Add(int64(n))
	return n, err
}

func (c meteredConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.m.bytes.Add(int64(n))
	return n, err
}

// plainBackend is a backend without recipes.
type plainBackend struct {
	server.Backend
	server.Receiver
	server.Promoter
}

// plainLocal is a Local that is no Assembler.
type plainLocal struct{ remote.Local }

// stripped removes headers from requests to the server, like an old client that does not send
// them.
func stripped(names ...string) func(http.ResponseWriter, *http.Request, string) bool {
	return func(_ http.ResponseWriter, r *http.Request, _ string) bool {
		for _, n := range names {
			r.Header.Del(n)
		}
		return false
	}
}

func headOf(t testing.TB, m remote.Local) merkle.Hash {
	t.Helper()
	head, err := m.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return head.Root
}
