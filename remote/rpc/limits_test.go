package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/vectors"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/rpc"
	"github.com/dig-network/digstore/remote/server"
	serverrpc "github.com/dig-network/digstore/remote/server/rpc"
)

// listen serves h on a real socket until the test ends.
func listen(t *testing.T, h http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := server.NewHTTPServer(h, nil)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() { srv.Close(); <-done })
	return l.Addr().String()
}

// TestSilentReaders: 500 clients request the longest response, 4 MiB of JSON for each window, and
// read nothing. They hold little memory, one address gets only its share, other clients are served,
// and the silent ones are disconnected.
func TestSilentReaders(t *testing.T) {
	s := newSite(t, 1, true)
	h := serverrpc.NewHandler(s.contents, &serverrpc.Options{PerIP: noLimit, Patience: 3 * time.Second,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	var active atomic.Int64
	at := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		active.Add(1)
		defer active.Add(-1)
		h.ServeHTTP(w, r)
	}))
	call := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"dig.getCapsule","params":{"store_id":%q}}`, s.id)
	body := "[" + strings.Repeat(call+",", 4) + call + "]"
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapInuse)
	}
	before := heap()
	const clients, addresses = 500, 5
	for i := range clients {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c,
			"POST / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.%d\r\nContent-Length: %d\r\n\r\n%s",
			i%addresses, len(body), body)
	}
	for stalled := int64(0); ; { // until all accepted responses are blocked in Write
		time.Sleep(200 * time.Millisecond)
		now := active.Load()
		if now > 0 && now == stalled {
			break
		}
		stalled = now
	}
	if n := active.Load(); n > addresses*64 {
		t.Errorf("%d answers are under way, at most 64 of an address", n)
	}
	if grown := heap() - before; grown > 100<<20 {
		t.Errorf("%d silent readers hold %d MiB", clients, grown>>20)
	}
	r, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+at, strings.NewReader(call))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(res.Body)
	res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if err != nil || res.StatusCode != 200 || len(text) < rpc.MaxWindow {
		t.Errorf("an honest reader beside them: %s, %d bytes, %v", res.Status, len(text), err)
	}
	if !vectors.Long(t) {
		return // the deadline depends on the minimum rate and takes too long
	}
	for began := time.Now(); active.Load() > 0; time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			t.Fatalf("%d are not cut off", active.Load())
		}
	}
}

// TestMemoryOfBodies: a body takes memory as it arrives, and is refused beyond the share of its
// address.
func TestMemoryOfBodies(t *testing.T) {
	s := newSite(t, 1, false)
	h := serverrpc.NewHandler(s.contents,
		&serverrpc.Options{PerIP: noLimit, MaxMemory: 4 << 20, MaxMemoryPerIP: 1200 << 10})
	send := func(from string, body io.Reader) int {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/", body)
		r.RemoteAddr = from + ":1"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code == http.StatusTooManyRequests && w.Header().Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		return w.Code
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	for range 2 {
		body, feed := io.Pipe()
		defer feed.CloseWithError(errors.New("gone"))
		wg.Go(func() { send("192.0.2.1", body) })
		if _, err := feed.Write(bytes.Repeat([]byte(" "), 300<<10)); err != nil {
			t.Fatal(err)
		}
	}
	large := func() io.Reader { return strings.NewReader(strings.Repeat(" ", 400<<10) + "{}") }
	for _, c := range []struct {
		from   string
		body   io.Reader
		status int
	}{
		{"192.0.2.1", large(), 429},
		{"192.0.2.1", strings.NewReader("{}"), 429},
		{"192.0.2.2", strings.NewReader("{}"), 200},
		{"192.0.2.2", large(), 200},
		{"192.0.2.2", strings.NewReader(strings.Repeat(" ", 2<<20)), 413},
	} {
		if got := send(c.from, c.body); got != c.status {
			t.Errorf("from %s: %d, want %d", c.from, got, c.status)
		}
	}
}

// A slowBackend has a generation for every root. Its modules block until the test lets them be
// read.
type slowBackend struct {
	server.Backend
	opened, closed atomic.Int64
	reading        chan struct{} // receives a value for each module that is being read
	let            chan struct{} // each value lets one module continue
}

func (b *slowBackend) Module(context.Context, auth.StoreID,
	merkle.Hash) (io.ReadSeekCloser, error) {
	b.opened.Add(1)
	return &slowModule{b, 0}, nil
}

type slowModule struct {
	of *slowBackend
	n  int
}

func (m *slowModule) Read(p []byte) (int, error) {
	if m.n == 0 {
		m.of.reading <- struct{}{}
	}
	if m.n++; m.n > 1000 {
		return 0, io.EOF
	}
	if m.n == 2 {
		<-m.of.let
	}
	return len(p), nil
}

func (m *slowModule) Seek(int64, int) (int64, error) { return 0, nil }
func (m *slowModule) Close() error                   { m.of.closed.Add(1); return nil }

// TestHashing: two modules are hashed concurrently, each read is shared by all its waiters and
// canceled when they have gone, and the number of waiting modules is bounded.
func TestHashing(t *testing.T) {
	b := &slowBackend{reading: make(chan struct{}, 100), let: make(chan struct{}, 100)}
	h := serverrpc.NewHandler(server.NewResourceIndex(b, nil), &serverrpc.Options{PerIP: noLimit})
	ask := func(ctx context.Context, n byte) string {
		body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"dig.getCapsule","params":{"store_id":%q,"root":%q}}`,
			auth.StoreID{1}, merkle.Hash{n, 1})
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "POST", "/", strings.NewReader(body)))
		return w.Body.String()
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for n := range byte(16) {
		for range 2 {
			wg.Go(func() {
				for ctx.Err() == nil { // refused while the probe below has the last slot
					ask(ctx, n)
					time.Sleep(time.Millisecond)
				}
			})
		}
	}
	<-b.reading
	<-b.reading
	for began, text := time.Now(), ""; !strings.Contains(text, "ask again later"); {
		short, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
		text = ask(short, 200)
		stop()
		// the probe was earlier than one of the 16, which gets the slot now
		time.Sleep(20 * time.Millisecond)
		if time.Since(began) > time.Minute {
			t.Fatal("a 17th module may wait: ", text)
		}
	}
	if n := b.opened.Load(); n != 2 {
		t.Errorf("%d modules are read at the same time", n)
	}
	cancel()
	wg.Wait() // all requests have ended
	b.let <- struct{}{}
	b.let <- struct{}{}
	for began := time.Now(); b.closed.Load() < 2; time.Sleep(time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatal("modules are read on for nobody")
		}
	}
	if n := b.opened.Load(); n != 2 {
		t.Errorf("%d modules were opened, of which nobody waits for more than two", n)
	}

	// A complete hash is cached.
	first := b.opened.Load()
	for range 3 {
		b.let <- struct{}{}
		if text := ask(t.Context(), 1); !strings.Contains(text, `"program_hash":"`) {
			t.Fatal(text)
		}
	}
	if n := b.opened.Load() - first; n != 1+2+3 {
		// once to be hashed, then for its key, and each time for its bytes
		t.Errorf("opened %d times for three answers", n)
	}
}

// A breakingBackend has modules that can be hashed, and whose later reads fail after good bytes.
type breakingBackend struct {
	server.Backend
	opened atomic.Int64
	good   int64 // bytes
}

func (b *breakingBackend) Module(context.Context, auth.StoreID,
	merkle.Hash) (io.ReadSeekCloser, error) {
	m := &breakingModule{Reader: bytes.NewReader(make([]byte, 1<<20))}
	if m.good = b.good; b.opened.Add(1) == 1 {
		m.good = 1 << 20
	}
	return m, nil
}

type breakingModule struct {
	*bytes.Reader
	good int64
}

func (m *breakingModule) Read(p []byte) (int, error) {
	if at := m.Size() - int64(m.Len()); at >= m.good {
		return 0, errors.New("the disk is broken")
	}
	return m.Reader.Read(p)
}

func (m *breakingModule) ReadAt(p []byte, off int64) (int, error) {
	left := max(0, m.good-off)
	if left >= int64(len(p)) {
		return m.Reader.ReadAt(p, off)
	}
	n, _ := m.Reader.ReadAt(p[:left], off)
	return n, errors.New("the disk is broken")
}

func (m *breakingModule) WriteTo(w io.Writer) (int64, error) { return m.Reader.WriteTo(w) }
func (m *breakingModule) Close() error                       { return nil }

// TestBrokenStream: a window that cannot be read is an error. A response that fails in the middle
// does not look complete.
func TestBrokenStream(t *testing.T) {
	for _, good := range []int64{0, 100 << 10} {
		h := serverrpc.NewHandler(server.NewResourceIndex(&breakingBackend{good: good}, nil),
			&serverrpc.Options{PerIP: noLimit})
		o := remotetest.NewOrigin(h)
		client := &http.Client{Transport: &http.Transport{DialContext: o.Dial}}
		body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"dig.getCapsule","params":{"store_id":%q,"root":%q}}`,
			auth.StoreID{1}, module.ID{Root: merkle.Hash{1}}.Root)
		res, err := client.Post("http://x/", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		res.Body.Close()
		if good == 0 && (err != nil || !strings.Contains(string(text), `"code":-32603`)) {
			t.Errorf("broken from the first byte: %s, %v", text, err)
		}
		if good > 0 && err == nil {
			t.Errorf("broken in the middle: an answer of %d bytes that looks whole", len(text))
		}
		client.CloseIdleConnections()
		o.Close()
	}
}
