package server

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/wire"
)

const strangers = 100_000

// empty is a backend without a store.
type empty struct{ Backend }

func (empty) Head(context.Context, auth.StoreID) (auth.SignedRoot, error) {
	return auth.SignedRoot{}, fs.ErrNotExist
}

func numbered[T ~[32]byte | ~[48]byte](n int) (v T) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n)+1)
	switch p := any(&v).(type) {
	case *auth.StoreID:
		copy(p[:], b[:])
	case *merkle.Hash:
		copy(p[:], b[:])
	case *auth.PublicKey:
		copy(p[:], b[:])
	}
	return v
}

// held returns how many bytes of memory f retains.
func held(f func()) int64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f()
	runtime.GC()
	runtime.ReadMemStats(&after)
	return int64(after.HeapAlloc) - int64(before.HeapAlloc)
}

// codeOnly is a ResponseWriter that keeps only the status.
type codeOnly struct {
	header http.Header
	code   int
}

func (w *codeOnly) Header() http.Header         { return w.header }
func (w *codeOnly) Write(p []byte) (int, error) { return len(p), nil }
func (w *codeOnly) WriteHeader(code int)        { w.code = code }

// TestStrangersAreForgotten sends requests of 100,000 addresses, identities, stores and
// declarations. No table of the server grows beyond its limit.
func TestStrangersAreForgotten(t *testing.T) {
	now := time.Unix(1_750_000_000, 0)
	s := New(empty{}, &Options{Anonymous: true, Now: func() time.Time { return now }})
	r := (&http.Request{Method: "GET", URL: new(url.URL),
		Header: http.Header{}}).WithContext(t.Context())
	ask := func(path, query, from string, status int) {
		w := &codeOnly{header: http.Header{}}
		r.URL.Path, r.URL.RawQuery, r.RemoteAddr = path, query, from
		if s.ServeHTTP(w, r); w.code != status {
			t.Fatalf("%s from %s: %d, want %d", path, from, w.code, status)
		}
	}
	address := func(n int) string {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{1, byte(n >> 16), byte(n >> 8), byte(n)}),
			1).String()
	}
	grown := held(func() {
		for n := range strangers {
			store := numbered[auth.StoreID](n)
			switch n % 3 {
			case 0:
				ask("/stores/"+store.String(), "", address(n), 404)
			case 1:
				ask("/stores/"+store.String()+"/module",
					"root="+numbered[merkle.Hash](n).String(), address(n), 404)
			default:
				ask("/stores/"+store.String()+"/delta",
					"from="+store.String()+"&to="+store.String(), address(n), 404)
			}
			who := numbered[auth.PublicKey](n)
			s.perIdentity.take(who, now)
			s.declarations.put(declarationKey{store, numbered[merkle.Hash](n), who},
				declaration{until: now.Add(declarationLife)})
			place := share{of: s.uploads,
				by: holder{netip.AddrFrom4([4]byte{1, byte(n >> 16), byte(n >> 8), byte(n)}), who, store}}
			place.grow(1)
			place.release()
		}
	})
	for table, size := range map[string][2]int{
		"addresses":     {s.perIP.byKey.Len(), s.opt.Limits.Tracked},
		"identities":    {s.perIdentity.byKey.Len(), s.opt.Limits.Tracked},
		"stores":        {s.perStore.byKey.Len(), s.opt.Limits.Tracked},
		"announcements": {s.declarations.byKey.Len(), maxDeclarations},
		"uploads":       {len(s.uploads.byAddress) + len(s.uploads.byIdentity) + len(s.uploads.byStore), 0},
		"volumes":       {s.resources.modules.Len(), 0},
		"decoys":        {s.resources.decoys.leaves.Len(), 0},
	} {
		if size[0] != size[1] {
			t.Errorf("%d %s are remembered of %d strangers, want %d", size[0], table, strangers, size[1])
		}
	}
	t.Logf("%d KiB are held after %d strangers", grown>>10, strangers)
	if grown > 24<<20 {
		t.Errorf("%d MiB are held after %d strangers", grown>>20, strangers)
	}
	runtime.KeepAlive(s)
}

// TestLargeBodiesShareABudget: JSON requests over 64 KiB get memory for their bodies or are refused
// with 429. Small ones always pass. Requests with a large Content-Length that have sent little do
// not block others.
func TestLargeBodiesShareABudget(t *testing.T) {
	all := Rate{PerSecond: math.Inf(1)}
	s := New(empty{},
		&Options{Anonymous: true, Limits: Limits{PerIP: all, PerStore: all, Bodies: 8 << 20}})
	post := func(body io.Reader) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), "POST",
			"/stores/"+auth.StoreID{1}.String()+"/content", body)
		r.Header.Set("Content-Type", "application/json")
		r.ContentLength = wire.MaxRequestJSON
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w
	}
	large := strings.Repeat(" ", 1<<20)
	for _, tc := range []struct {
		sent   int // bytes sent of each unfinished body
		status int // status of one more request, of 1 MiB
	}{
		{freeBody + 1, http.StatusBadRequest},
		{3 << 19, http.StatusTooManyRequests},
	} {
		var wg sync.WaitGroup
		var feeds []*io.PipeWriter
		for range 4 {
			body, feed := io.Pipe()
			feeds = append(feeds, feed)
			wg.Go(func() { post(body) })
			if _, err := feed.Write(make([]byte, tc.sent)); err != nil { // returns when it is read
				t.Fatal(err)
			}
		}
		w := post(strings.NewReader(large))
		if w.Code != tc.status ||
			(w.Code == http.StatusTooManyRequests) != (w.Header().Get("Retry-After") == "1") {
			t.Errorf("one more beside 4 of %d bytes: %d", tc.sent, w.Code)
		}
		if w := post(strings.NewReader("{}")); w.Code != http.StatusUnprocessableEntity {
			t.Errorf("a small one: %d", w.Code)
		}
		for _, feed := range feeds {
			feed.CloseWithError(errors.New("gone"))
		}
		wg.Wait()
	}
	if w := post(strings.NewReader(large)); w.Code != http.StatusBadRequest {
		t.Errorf("afterwards: %d", w.Code)
	}
	if w := post(io.MultiReader(strings.NewReader(large),
		iotest.ErrReader(errors.New("gone")))); w.Code != http.StatusBadRequest {
		t.Errorf("a broken one: %d", w.Code)
	}
	if s.bodies.used != 0 || len(s.bodies.byAddress) != 0 {
		t.Error("some room is lost")
	}
}

// slowModule is a backend that blocks until the test lets it continue.
type slowModule struct {
	empty
	entered, leave chan struct{}
}

func (b slowModule) Head(context.Context, auth.StoreID) (auth.SignedRoot, error) {
	return auth.SignedRoot{}, nil
}

func (b slowModule) Module(context.Context, auth.StoreID, merkle.Hash) (io.ReadSeekCloser, error) {
	b.entered <- struct{}{}
	<-b.leave
	return nil, fs.ErrNotExist
}

// TestDeltasAtOnce: Limits.Deltas bounds concurrent deltas. Requests whose body has not arrived do
// not count.
func TestDeltasAtOnce(t *testing.T) {
	b := slowModule{entered: make(chan struct{}), leave: make(chan struct{})}
	s := New(b, &Options{Anonymous: true, Limits: Limits{Deltas: 2}})
	root := merkle.Hash{1}.String()
	ask := func(method, query string, body io.Reader) int {
		r := httptest.NewRequestWithContext(t.Context(), method, "/stores/"+root+"/delta"+query, body)
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w.Code
	}
	get := func() int { return ask("GET", "?from="+root+"&to="+root, nil) }
	var wg sync.WaitGroup
	defer wg.Wait()
	for range 4 {
		body, feed := io.Pipe()
		wg.Go(func() { ask("POST", "", body) })
		if _, err := feed.Write([]byte("{")); err != nil { // returns when it is read
			t.Fatal(err)
		}
		defer feed.CloseWithError(errors.New("gone"))
	}
	var computing sync.WaitGroup
	for range 2 {
		computing.Go(func() { get() })
		<-b.entered
	}
	if got := get(); got != http.StatusTooManyRequests {
		t.Errorf("a third one: %d", got)
	}
	close(b.leave)
	computing.Wait()
	go func() { <-b.entered }()
	if got := get(); got != http.StatusNotFound {
		t.Errorf("afterwards: %d", got)
	}
}

// TestWorstForwardedFor: X-Forwarded-For is read from its end, and only as far as necessary.
func TestWorstForwardedFor(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
	r.RemoteAddr = "10.0.0.1:1"
	for value, want := range map[string]string{
		strings.Repeat("1.1.1.1,", 4000) + "2.2.2.2": "2.2.2.2",
		"3.3.3.3" + strings.Repeat(", 10.0.0.2", 50): "3.3.3.3",
		"[::ffff:4.4.4.4]":                           "10.0.0.1",
		"::ffff:4.4.4.4":                             "4.4.4.4",
		"4.4.4.4:80":                                 "10.0.0.1",
		"fe80::1%eth0":                               "fe80::",
		",,,":                                        "10.0.0.1",
		"":                                           "10.0.0.1",
		"unknown, 5.5.5.5":                           "5.5.5.5",
	} {
		r.Header.Set("X-Forwarded-For", value)
		if got := clientAddr(r, proxies); got.WithZone("").String() != want {
			t.Errorf("%.40q: %s, want %s", value, got, want)
		}
	}
}
