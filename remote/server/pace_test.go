package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/server"
)

// quarter is a body of 1 MiB served as a module: the server does not parse what it serves.
var quarter = bytes.Repeat([]byte("a quarter of what a client takes"), 32<<10)

// TestSlowReaders: a client that reads one byte each 10 seconds is disconnected, a slow but steady
// one is not.
func TestSlowReaders(t *testing.T) {
	for _, tc := range []struct {
		name string
		take int // bytes
		each time.Duration
		cut  bool
	}{
		{"1 byte each 10 s", 1, 10 * time.Second, true},
		{"nothing at all", 0, time.Second, true},
		{"2 KiB a second", 2 << 10, time.Second, true},
		{"16 KiB a second", 16 << 10, time.Second, false},
		{"256 KiB each 50 s", 256 << 10, 50 * time.Second, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, 1, nil)
				gone := make(chan time.Time, 1)
				s.serve(watched{rangeBackend{s.stores, func(b []byte) io.ReadSeekCloser {
					return nopCloser{bytes.NewReader(b)}
				}, quarter}, gone}, nil)
				o := remotetest.NewOrigin(s.server)
				defer o.Close()
				c, in := s.connect(o, s.request("GET", s.path("/module"), nil))
				defer c.Close()
				began := time.Now()
				var err error
				n := 0
				if tc.take > 0 {
					res, rerr := http.ReadResponse(in, nil)
					if rerr != nil {
						t.Fatal(rerr)
					}
					for buf := make([]byte, tc.take); err == nil; n += len(buf) {
						time.Sleep(tc.each)
						_, err = io.ReadFull(res.Body, buf)
					}
				}
				if took := (<-gone).Sub(began); tc.cut && (took < time.Minute || took > 10*time.Minute) {
					t.Errorf("it took %v", took)
				}
				if whole := n >= len(quarter) && errors.Is(err, io.EOF); whole == tc.cut {
					t.Errorf("after %d of %d bytes: %v", n, len(quarter), err)
				}
			})
		})
	}
}

// watched signals when the reader of a module is closed, which is when its handler returns.
type watched struct {
	rangeBackend
	gone chan time.Time
}

func (b watched) Module(ctx context.Context, id auth.StoreID,
	root merkle.Hash) (io.ReadSeekCloser, error) {
	m, err := b.rangeBackend.Module(ctx, id, root)
	return closeHook{m, func() { b.gone <- time.Now() }}, err
}

type closeHook struct {
	io.ReadSeekCloser
	closed func()
}

func (c closeHook) Close() error { defer c.closed(); return c.ReadSeekCloser.Close() }

// TestSlowWriters: a JSON body has a minimum rate too, and the server does not wait for the rest of
// a refused body.
func TestSlowWriters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newContentSite(t, 1)
		o := remotetest.NewOrigin(s.server)
		defer o.Close()
		body := contentBody(urn.RetrievalKey(s.id, "index.html"), s.head().Root, "")
		for _, tc := range []struct {
			name   string
			hs     []header
			send   func(c net.Conn)
			status int
			within time.Duration
		}{
			{"silent", nil, func(net.Conn) {}, 400, 60 * time.Second},
			{"a byte each second", nil, func(c net.Conn) {
				for range body {
					if _, err := c.Write([]byte(" ")); err != nil {
						return
					}
					time.Sleep(time.Second)
				}
			}, 400, 61 * time.Second},
			{"slow and in time", nil, func(c net.Conn) {
				for _, part := range []string{body[:9], body[9:20], body[20:]} {
					time.Sleep(15 * time.Second)
					io.WriteString(c, part)
				}
			}, 200, 46 * time.Second},
			{"refused before its body", []header{set("X-Dig-Auth", "00")}, func(net.Conn) {}, 401, 5 * time.Second},
		} {
			r := s.request("POST", s.path("/content"), nil, append(tc.hs, asJSON)...)
			c, in := s.connect(o, r, fmt.Sprintf("Content-Length: %d", len(body)))
			began := time.Now()
			go tc.send(c)
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(tc.name, err)
			}
			if took := time.Since(began); res.StatusCode != tc.status || took > tc.within {
				t.Errorf("%s: %d after %v, want %d", tc.name, res.StatusCode, took, tc.status)
			}
			io.Copy(io.Discard, res.Body)
			if tc.status != 200 {
				if _, err := in.ReadByte(); !errors.Is(err, io.EOF) ||
					time.Since(began) > tc.within+10*time.Second {
					t.Errorf("%s: the connection is kept: %v after %v", tc.name, err, time.Since(began))
				}
			}
			c.Close()
			synctest.Wait()
		}
	})
}

// TestHTTPServerLimits: the limits of server.NewHTTPServer.
func TestHTTPServerLimits(t *testing.T) {
	s := newSite(t, 1, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := server.NewHTTPServer(s.server, nil)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	defer func() {
		srv.Close()
		<-done
	}()
	r := s.request("GET", "http://"+l.Addr().String()+s.path(""), nil,
		set("X-Filler", strings.Repeat("x", 64<<10)))
	r.RequestURI = ""
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("64 KiB of headers: %s", res.Status)
	}
	if srv.ReadHeaderTimeout == 0 || srv.IdleTimeout == 0 ||
		srv.TLSConfig.MinVersion < 0x0303 || srv.HTTP2 == nil {
		t.Errorf("%+v", srv)
	}
}

// TestPaced: server.CloseSlow closes slow connections for other handlers.
func TestPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		o :=
			remotetest.NewOrigin(server.CloseSlow(http.HandlerFunc(func(w http.ResponseWriter,
				r *http.Request) {
				_, err := io.ReadAll(r.Body)
				for n := 0; n < 100 && err == nil; n++ {
					_, err = w.Write(quarter)
				}
				ended <- err
			}), 20*time.Second))
		defer o.Close()
		for _, text := range []string{
			"GET / HTTP/1.1\r\nHost: a\r\n\r\n",                                     // reads nothing
			"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12",             // sends a part
			"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n", // sends a part
		} {
			c, err := o.Dial(t.Context(), "tcp", "")
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			go io.WriteString(c, text)
			err = <-ended
			if took := time.Since(began); !errors.Is(err, os.ErrDeadlineExceeded) || took > 90*time.Second {
				t.Errorf("%q: %v after %v", text, err, took)
			}
			c.Close()
			synctest.Wait()
		}
	})
}

// TestOverHTTP2: the same over HTTP/2, where each stream has its deadline, and at least TLS 1.2.
func TestOverHTTP2(t *testing.T) {
	s := newContentSite(t, 2)
	s.serve(rangeBackend{s.stores, func(b []byte) io.ReadSeekCloser {
		return nopCloser{bytes.NewReader(b)}
	}, quarter}, nil)
	lender := httptest.NewTLSServer(nil) // for its certificate
	defer lender.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := server.NewHTTPServer(s.server,
		&tls.Config{Certificates: lender.TLS.Certificates, MinVersion: tls.VersionTLS10})
	srv.ErrorLog = log.New(io.Discard, "", 0)
	done := make(chan error, 1)
	go func() { done <- srv.ServeTLS(l, "", "") }()
	defer func() { srv.Close(); <-done }()
	trust := lender.Client().Transport.(*http.Transport).TLSClientConfig
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: trust.Clone(),
		ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	at := "https://" + l.Addr().String()
	for range 3 {
		for _, r := range []*http.Request{
			s.request("GET", at+s.path("/module"), nil),
			s.request("GET", at+s.path("/roots"), nil),
			s.request("POST", at+s.path("/content"), strings.NewReader("{}"), asJSON),
			s.request("POST", at+s.path("/content"), strings.NewReader("{}"), set("X-Dig-Auth", "00")),
		} {
			r.RequestURI = ""
			res, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || res.ProtoMajor != 2 ||
				res.StatusCode == 200 && strings.HasSuffix(r.URL.Path, "/module") != bytes.Equal(got, quarter) {
				t.Errorf("%s: %s %s, %d bytes, %v", r.URL.Path, res.Proto, res.Status, len(got), err)
			}
		}
	}
	old := trust.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if c, err := tls.Dial("tcp", l.Addr().String(), old); err == nil {
		c.Close()
		t.Error("TLS 1.1 is spoken")
	}
}

// TestFilesGoOutInPieces: a module in a plain file is sent, whole and in part, over a connection.
func TestFilesGoOutInPieces(t *testing.T) {
	s := newSite(t, 1, nil)
	name := t.TempDir() + "/module"
	large := bytes.Repeat(quarter, 5)
	if err := os.WriteFile(name, large, 0o666); err != nil {
		t.Fatal(err)
	}
	s.serve(fileBackend{s.stores, name}, nil)
	l := s.listen()
	for rng, part := range map[string][]byte{"": large, "bytes=5-": large[5:],
		"bytes=1048575-3145729": large[1048575:3145730]} {
		r := s.request("GET", l.URL+s.path("/module"), nil)
		r.RequestURI = ""
		if rng != "" {
			r.Header.Set("Range", rng)
		}
		res, err := l.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || !bytes.Equal(got, part) {
			t.Errorf("%q: %d bytes that differ, %v", rng, len(got), err)
		}
	}
}
