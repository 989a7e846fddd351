package server_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/server"
)

// These tests use real connections.

// connect dials the site's server and writes the head of a request unchanged.
func (s *site) connect(o *remotetest.Origin, r *http.Request,
	extra ...string) (net.Conn, *bufio.Reader) {
	s.t.Helper()
	c, err := o.Dial(s.t.Context(), "tcp", "")
	if err != nil {
		s.t.Fatal(err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: localhost\r\n", r.Method, r.URL.RequestURI())
	r.Header.Write(&b)
	fmt.Fprintf(&b, "%s\r\n\r\n", strings.Join(extra, "\r\n"))
	go c.Write(b.Bytes()) // a pipe: returns when it is read
	return c, bufio.NewReader(c)
}

func TestExpectContinue(t *testing.T) {
	s := newSite(t, 1, nil)
	mod, head := s.next()
	o := remotetest.NewOrigin(s.server)
	defer o.Close()
	put := func(parent merkle.Hash) (net.Conn, *bufio.Reader) {
		r := s.request("PUT", s.path("/module?root="+head.Root.String()), nil, pushHeaders(head, parent))
		return s.connect(o, r, "Expect: 100-continue", fmt.Sprintf("Content-Length: %d", len(mod)))
	}
	t.Run("refused", func(t *testing.T) {
		c, in := put(merkle.Hash{1})
		defer c.Close()
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		want(t, res, 409, conflict) // and not 100 before it
	})
	t.Run("taken", func(t *testing.T) {
		c, in := put(s.head().Root)
		defer c.Close()
		line, err := in.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, "HTTP/1.1 100") {
			t.Fatalf("%q, %v", line, err)
		}
		if _, err := in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		go c.Write(mod)
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		want(t, res, 201, "")
	})
	t.Run("the head again", func(t *testing.T) {
		c, in := put(s.head().Root)
		defer c.Close()
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		want(t, res, 200, "") // without 100 Continue
	})
}

func TestUploadThatStops(t *testing.T) {
	for _, tc := range []struct {
		name string
		stop func(c net.Conn)
	}{
		{"breaks off", func(c net.Conn) { c.Close() }},
		{"falls silent", func(net.Conn) { time.Sleep(2 * time.Minute) }},
		{"trickles", func(c net.Conn) {
			for range 20 {
				c.Write([]byte{0})
				time.Sleep(10 * time.Second)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, 1, &server.Options{Limits: server.Limits{UploadsPerStore: 1}})
				mod, head := s.next()
				o := remotetest.NewOrigin(s.server)
				defer o.Close()
				r := s.request("PUT", s.path("/module?root="+head.Root.String()), nil,
					pushHeaders(head, s.head().Root))
				c, in := s.connect(o, r, fmt.Sprintf("Content-Length: %d", len(mod)))
				go io.Copy(io.Discard, in)
				if _, err := c.Write(mod[:len(mod)/2]); err != nil {
					t.Fatal(err)
				}
				tc.stop(c)
				synctest.Wait()
				want(t, s.do("GET", s.path("/module"), nil), 200, string(s.modules[0]))
				want(t, s.put(head, s.head().Root, mod), 201, "") // the upload slot is free again
				c.Close()
			})
		})
	}
}

// brokenBackend has modules that fail in the middle.
type brokenBackend struct{ *remotetest.Stores }

var errBadSector = errors.New("bad sector")

type brokenReader struct{ *bytes.Reader }

func (r brokenReader) Read(p []byte) (int, error) {
	if r.Len() < 1000 {
		return 0, errBadSector
	}
	return r.Reader.Read(p[:min(len(p), 1000)])
}

func (r brokenReader) Close() error { return nil }

// readSeekCloser hides the other methods of a reader.
type readSeekCloser struct{ io.ReadSeekCloser }

func (b brokenBackend) Module(ctx context.Context, id auth.StoreID,
	root merkle.Hash) (io.ReadSeekCloser, error) {
	m, err := b.Stores.Module(ctx, id, root)
	if err != nil {
		return nil, err
	}
	whole, err := io.ReadAll(m)
	return readSeekCloser{brokenReader{bytes.NewReader(whole)}}, err
}

func TestModuleThatBreaksOff(t *testing.T) {
	s := newSite(t, 1, nil)
	s.serve(brokenBackend{s.stores}, nil)
	o := remotetest.NewOrigin(s.server)
	defer o.Close()
	c := http.Client{Transport: &http.Transport{DialContext: o.Dial}}
	defer c.CloseIdleConnections()
	r := s.request("GET", "http://localhost"+s.path("/module"), nil)
	r.RequestURI = ""
	res, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if n, err := io.Copy(io.Discard, res.Body); err == nil {
		t.Errorf("%d bytes look whole", n)
	}
}

// failingBackend is a backend whose Head fails.
type failingBackend struct{ server.Backend }

func (failingBackend) Head(context.Context, auth.StoreID) (auth.SignedRoot, error) {
	return auth.SignedRoot{}, errors.New("cannot read /secret/path")
}

func TestInternalErrorsSayNothing(t *testing.T) {
	s := newSite(t, 1, nil)
	s.serve(failingBackend{s.stores}, nil)
	for _, tail := range []string{"", "/roots", "/module"} {
		want(t, s.do("GET", s.path(tail), nil), 500, "internal server error")
	}
}

// rangeBackend has modules whose readers have only the methods that a test wants.
type rangeBackend struct {
	*remotetest.Stores
	open func([]byte) io.ReadSeekCloser
	mod  []byte
}

func (b rangeBackend) Module(context.Context, auth.StoreID,
	merkle.Hash) (io.ReadSeekCloser, error) {
	return b.open(b.mod), nil
}

type nopCloser struct{ io.ReadSeeker }

func (nopCloser) Close() error { return nil }

type writerTo struct {
	nopCloser
	r *bytes.Reader
}

func (w writerTo) WriteTo(to io.Writer) (int64, error) { return w.r.WriteTo(to) }

func TestModuleByReaderAndByWriterTo(t *testing.T) {
	s := newSite(t, 1, nil)
	large := bytes.Repeat([]byte("a module of more than one buffer "), 40_000)
	for name, open := range map[string]func(b []byte) io.ReadSeekCloser{
		"reader": func(b []byte) io.ReadSeekCloser {
			return nopCloser{io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b)))}
		},
		"writer to": func(b []byte) io.ReadSeekCloser {
			r := bytes.NewReader(b)
			return writerTo{nopCloser{r}, r}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s.serve(rangeBackend{s.stores, open, large}, nil)
			want(t, s.do("GET", s.path("/module"), nil), 200, string(large))
			want(t, s.do("GET", s.path("/module"), nil, set("Range", "bytes=7-1000006")), 206,
				string(large[7:1000007]))
		})
	}
}

// TestHugeLengthsCostNothing declares huge lengths.
func TestHugeLengthsCostNothing(t *testing.T) {
	s := newSite(t, 1, &server.Options{MaxModule: 1 << 50, Policy: server.TrustOnFirstUse{}})
	_, head := s.next()
	other := auth.SignedRoot{Store: auth.StoreID{1}, Root: head.Root}
	signed, err := auth.SignRoot(t.Context(), other.Store, head.Root, s.publisher)
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 10 {
		for _, h := range []auth.SignedRoot{head, signed} {
			parent := s.head().Root
			if h.Store != s.id {
				parent = merkle.Hash{}
			}
			r := s.request("PUT", "/stores/"+h.Store.String()+"/module?root="+h.Root.String(),
				io.MultiReader(io.LimitReader(endless(), 1<<20)), pushHeaders(h, parent))
			r.ContentLength = 1 << 50
			want(t, s.answer(r), 422, "*")
		}
		init := fmt.Sprintf(`{"parent_root":"%s","new_root":"%s","size_bytes":%d}`, s.head().Root, head.Root, int64(1)<<49)
		want(t, s.do("POST", s.path("/module/upload"), strings.NewReader(init),
			pushHeaders(head, s.head().Root)), 200, "*")
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 200<<20 {
		t.Errorf("%d MiB allocated for uploads of 1 MiB that claim 1 PiB", grown>>20)
	}
}
