package client_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node"
	"github.com/dig-network/digstore/node/api"
	"github.com/dig-network/digstore/node/client"
)

func TestBadURL(t *testing.T) {
	for _, base := range []string{"", "node.example", "dig://node.example", "http://", "http://:80",
		"http://ann:secret@node.example", "http://node.example?x=1", "http://node.example/?",
		"http://node.example#x", "http://node.example/a%2fb", "http://node.example/a/../b",
		"http://node.example/a//b", "http://node.example:port", "://", "http://[::1"} {
		c, err := client.New(base, nil)
		if !errors.Is(err, client.ErrBadURL) {
			t.Errorf("%q: %v, %v", base, c, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error has the password: %v", err)
		}
	}
	for base, want := range map[string]string{"http://node.example/": "http://node.example",
		"https://node.example:8555/dig//": "https://node.example:8555/dig",
		"HTTP://[::1]:80":                 "http://[::1]:80"} {
		if c := newClient(t, base, nil); c.URL() != want {
			t.Errorf("%q: %q, expected %q", base, c.URL(), want)
		}
	}
	_, err := client.New("https://node.example", &client.Options{
		TLS: &tls.Config{InsecureSkipVerify: true}})
	if !errors.Is(err, client.ErrInsecure) {
		t.Errorf("without verification: %v", err)
	}
}

// Every code of the API stands for an error here, and every code here is one of the API.
func TestCodes(t *testing.T) {
	known := client.Codes()
	for code := range api.Codes() {
		if !slices.Contains(known, string(code)) {
			t.Errorf("code %s of the API is not known", code)
		}
	}
	for _, code := range known {
		if api.Codes()[api.Code(code)] == 0 {
			t.Errorf("code %s is none of the API", code)
		}
	}
	for code, want := range map[string]error{
		"capsule_not_found": fs.ErrNotExist, "already_exists": fs.ErrExist,
		"unauthorized": request.ErrUnauthenticated, "not_a_writer": auth.ErrForbidden,
		"bad_signature": auth.ErrSignature, "gone_tombstoned": auth.ErrRevoked,
		"challenge_reused": capsule.ErrReplay, "expired": capsule.ErrExpired,
		"unknown_validator": capsule.ErrUnknownValidator, "not_ready": capsule.ErrNotReady,
		"unsupported_challenge": capsule.ErrUnsupported, "hash_mismatch": capsule.ErrContentMismatch,
		"merkle_mismatch": capsule.ErrManifest, "root_conflict": client.ErrConflict,
		"stale_generation": client.ErrStale, "payload_too_large": client.ErrTooLarge,
		"insufficient_storage": client.ErrNoSpace, "rate_limited": client.ErrRateLimited,
		"draining": client.ErrBusy, "route_not_found": errors.ErrUnsupported,
	} {
		err := fmt.Errorf("x: %w", &client.StatusError{Status: 404, Code: code})
		if !errors.Is(err, want) {
			t.Errorf("code %s does not match %v", code, want)
		}
		if want != fs.ErrNotExist && errors.Is(err, fs.ErrNotExist) {
			t.Errorf("code %s matches by its status", code)
		}
	}
	if !errors.Is(&client.StatusError{Status: 404}, fs.ErrNotExist) ||
		!errors.Is(&client.StatusError{Status: 404, Code: "new_code"}, fs.ErrNotExist) {
		t.Error("without a known code the status does not count")
	}
}

// refusing answers every request with a status, and counts.
func refusing(t testing.TB, h http.HandlerFunc) (string, *atomic.Int64) {
	t.Helper()
	n := new(atomic.Int64)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		h(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv.URL, n
}

// TestStatusError: the text of a refusal is read up to a limit, and its control characters are
// replaced.
func TestStatusError(t *testing.T) {
	tests := []struct {
		name, kind, body string
		want             client.StatusError
	}{
		{"a problem", "application/problem+json", `{"code":"handle_not_found","detail":"no such name",` +
			`"title":"x","new":[1]}`, client.StatusError{Code: "handle_not_found",
			Detail: "no such name"}},
		{"hidden characters", "application/problem+json", `{"code":"busy","detail":"a\u001b[2Jb\u202e"}`,
			client.StatusError{Code: "busy", Detail: "a [2Jb"}},
		{"a code that is none", "application/problem+json", `{"code":"a b","detail":"x"}`,
			client.StatusError{Detail: "x"}},
		{"long detail", "application/problem+json",
			`{"code":"busy","detail":"` + strings.Repeat("x", 300) + `"}`,
			client.StatusError{Code: "busy", Detail: strings.Repeat("x", 200) + "…"}},
		{"long problem", "application/problem+json",
			`{"code":"busy","detail":"` + strings.Repeat("x", 100_000) + `"}`, client.StatusError{}},
		{"a code given twice", "application/problem+json", `{"code":"busy","code":"internal"}`,
			client.StatusError{}},
		{"a web page", "text/html", "<html>", client.StatusError{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			url, _ := refusing(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", tt.kind)
				w.Header().Set("X-Request-ID", "abc-1")
				w.WriteHeader(404)
				io.WriteString(w, tt.body)
			})
			_, err := newClient(t, url, nil).Resolve(t.Context(), "mydata")
			var got *client.StatusError
			if !errors.As(err, &got) {
				t.Fatalf("%v is no StatusError", err)
			}
			want := tt.want
			want.Method, want.Path, want.Status, want.RequestID = "GET", "/handle/mydata/resolve", 404,
				"abc-1"
			if *got != want {
				t.Errorf("%+v, expected %+v", *got, want)
			}
		})
	}
}

// TestRetries: temporary failures are retried, up to the number of attempts and after the time in
// Retry-After; permanent ones are not.
func TestRetries(t *testing.T) {
	tests := []struct {
		name   string
		status int
		after  string
		wait   time.Duration // least
		tries  int64
	}{
		{"busy", 503, "", 0, 3},
		{"busy, for a second", 503, "1", time.Second, 3},
		{"limited", 429, "1", time.Second, 3},
		{"bad gateway", 502, "", 0, 3},
		{"gateway timeout", 504, "", 0, 3},
		{"not found", 404, "1", 0, 1},
		{"internal error", 500, "", 0, 1},
		{"redirect", 307, "", 0, 1},
		{"no answer", 0, "", 0, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			url, n := refusing(t, func(w http.ResponseWriter, r *http.Request) {
				if tt.status == 0 {
					panic(http.ErrAbortHandler)
				}
				w.Header().Set("Retry-After", tt.after)
				w.WriteHeader(tt.status)
			})
			var waits []time.Duration
			c := newClient(t, url, &client.Options{Attempts: 3, OnRetry: func(err error,
				wait time.Duration) {
				waits = append(waits, wait)
			}})
			_, err := c.Peers(t.Context())
			if err == nil || n.Load() != tt.tries || int64(len(waits)) != tt.tries-1 {
				t.Errorf("%v after %d requests and waits %v, expected %d requests", err, n.Load(), waits,
					tt.tries)
			}
			for _, w := range waits {
				if w < tt.wait || w > 10*time.Second {
					t.Errorf("waited %v, expected at least %v", w, tt.wait)
				}
			}
		})
	}
}

// TestLongWait: a wait is limited, and ends with the context.
func TestLongWait(t *testing.T) {
	url, _ := refusing(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "86400")
		w.WriteHeader(503)
	})
	ctx, cancel := context.WithCancel(t.Context())
	var waited time.Duration
	c := newClient(t, url, &client.Options{OnRetry: func(_ error, wait time.Duration) {
		waited = wait
		cancel()
	}})
	if _, err := c.Peers(ctx); !errors.Is(err, client.ErrBusy) || waited != time.Minute {
		t.Errorf("%v after a wait of %v, expected a minute", err, waited)
	}
}

// Addresses are checked after their names are resolved.
func TestGuard(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	tests := []struct {
		name string
		base string
		o    client.Options
	}{
		{"private", "http://10.0.0.1:8555", client.Options{}},
		{"metadata", "http://169.254.169.254", client.Options{}},
		{"other networks are allowed", "http://10.0.0.1:8555", client.Options{
			Networks: []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16")}}},
		{"a name of this machine", "http://x.localhost:" + port, client.Options{}},
		{"IPv6 with an IPv4 address", "http://[::ffff:10.0.0.1]:8555", client.Options{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.o.OnRetry = func(err error, _ time.Duration) { t.Errorf("tried again after %v", err) }
			if _, err := newClient(t, tt.base, &tt.o).Peers(soon(t)); !errors.Is(err,
				client.ErrInsecure) {
				t.Errorf("%v, expected ErrInsecure", err)
			}
		})
	}
}

// TestCredentials: credentials are sent over plain HTTP only to loopback.
func TestCredentials(t *testing.T) {
	var got atomic.Value
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got.Store(r.Header.Get("Authorization"))
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"node_id":"dig1"}`)
	}))
	t.Cleanup(srv.Close)
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, srv.Listener.Addr().String())
	}
	for base, sent := range map[string]bool{srv.URL: true, "http://localhost:1": true,
		"http://node.example": false, "http://10.0.0.1": false} {
		c := newClient(t, base, &client.Options{AdminToken: adminToken, Dial: dial})
		got.Store("")
		_, err := c.Status(t.Context())
		if !sent && !errors.Is(err, client.ErrInsecure) || sent && err != nil {
			t.Errorf("%s: %v", base, err)
		}
		if (got.Load() == "Bearer "+adminToken) != sent {
			t.Errorf("%s: Authorization is %q", base, got.Load())
		}
		if err != nil && strings.Contains(err.Error(), adminToken) {
			t.Errorf("%s: the error has the token: %v", base, err)
		}
	}
}

// TestAPIKey: a caller with a listed key has its own bucket, and waits if that is empty.
func TestAPIKey(t *testing.T) {
	_, err := client.New("http://node.example", &client.Options{APIKey: "k3y"})
	if !errors.Is(err, client.ErrInsecure) {
		t.Errorf("over plain HTTP: %v, expected ErrInsecure", err)
	}
	base := serveLimited(t, api.Limits{Requests: api.Bucket{PerMinute: 1, Burst: 1},
		Keys: map[string]float64{"k3y": 1}})
	for _, key := range []string{"", "k3y"} {
		c := newClient(t, base, &client.Options{APIKey: key, Attempts: 1})
		if _, err := c.Peers(t.Context()); err != nil {
			t.Errorf("key %q: %v", key, err)
		}
		var status *client.StatusError
		if _, err := c.Peers(t.Context()); !errors.Is(err, client.ErrRateLimited) ||
			!errors.As(err, &status) || status.RetryAfter < time.Second {
			t.Errorf("key %q again: %v, expected ErrRateLimited", key, err)
		}
	}
}

// TestTLS: a request succeeds if the certificate is trusted, and is not retried otherwise.
func TestTLS(t *testing.T) {
	n := new(atomic.Int64)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"peers":[]}`)
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			n.Add(1)
		}
	}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	c := newClient(t, srv.URL, &client.Options{TLS: &tls.Config{RootCAs: roots}})
	if _, err := c.Peers(t.Context()); err != nil {
		t.Error(err)
	}
	n.Store(0)
	var cert *tls.CertificateVerificationError
	_, err := newClient(t, srv.URL, nil).Peers(t.Context())
	if !errors.As(err, &cert) || n.Load() != 1 {
		t.Errorf("unknown authority: %v after %d connections", err, n.Load())
	}
	_, err = newClient(t, strings.Replace(srv.URL, "https", "http", 1), nil).Peers(t.Context())
	var status *client.StatusError
	if !errors.As(err, &status) || status.Status != 400 {
		t.Errorf("plain HTTP: %v, expected status 400", err)
	}
}

// fakeTransport reads the request and then returns a fixed answer.
type fakeTransport func(r *http.Request) (*http.Response, error)

func (f fakeTransport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// drip returns one byte each period, until its context ends.
type drip struct {
	ctx    context.Context
	period time.Duration
	left   int
}

func (d *drip) Read(p []byte) (int, error) {
	if d.left == 0 {
		return 0, io.EOF
	}
	select {
	case <-time.After(d.period):
	case <-d.ctx.Done():
		return 0, d.ctx.Err()
	}
	d.left--
	p[0] = 'x'
	return 1, nil
}

// TestPaceOfAnswer: a slow answer is aborted after a minute. An answer at the minimum rate is not,
// and the time between the reads of the caller does not count.
func TestPaceOfAnswer(t *testing.T) {
	tests := []struct {
		name   string
		period time.Duration // of a byte
		caller time.Duration // for each byte
		rate   int64
		want   error
	}{
		{"nothing", time.Hour, 0, 1, client.ErrTooSlow},
		{"too slow", 2 * time.Second, 0, 1, client.ErrTooSlow},
		{"keeps up", 900 * time.Millisecond, 0, 1, nil},
		{"slow caller", 900 * time.Millisecond, time.Hour, 1, nil},
		{"below the rate", 100 * time.Millisecond, 0, 100, client.ErrTooSlow},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				send := fakeTransport(func(r *http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: 200,
						Body: io.NopCloser(&drip{r.Context(), tt.period, 2000})}, nil
				})
				r, err := http.NewRequestWithContext(t.Context(), "GET", "http://x", nil)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := client.RoundTrip(send, tt.rate, r)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				begin, waited := time.Now(), time.Duration(0)
				for {
					if _, err = resp.Body.Read(make([]byte, 10)); err != nil {
						break
					}
					time.Sleep(tt.caller)
					waited += tt.caller
				}
				if tt.want == nil && err != io.EOF || tt.want != nil && (!errors.Is(err, tt.want) ||
					!errors.Is(err, client.ErrConnection)) {
					t.Errorf("%v, expected %v", err, tt.want)
				}
				if took := time.Since(begin) - waited; tt.want != nil && took > 3*time.Minute {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// TestPaceOfRequest: a request is aborted if no byte is sent for a minute. The time to read the
// content of the caller does not count.
func TestPaceOfRequest(t *testing.T) {
	tests := []struct {
		name   string
		takes  time.Duration // the other side, for each byte
		caller time.Duration // to give a byte
		want   error
	}{
		{"nothing is taken", time.Hour, 0, client.ErrTooSlow},
		{"slow", 50 * time.Second, 0, nil},
		{"slow caller", time.Second, time.Hour, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				send := fakeTransport(func(r *http.Request) (*http.Response, error) {
					for {
						if _, err := r.Body.Read(make([]byte, 1)); err == io.EOF {
							break
						} else if err != nil {
							return nil, err
						}
						select {
						case <-time.After(tt.takes):
						case <-r.Context().Done():
							return nil, r.Context().Err()
						}
					}
					time.Sleep(5 * time.Minute) // for the answer, which has a bound of its own
					return &http.Response{StatusCode: 200, Body: http.NoBody}, r.Context().Err()
				})
				r, err := http.NewRequestWithContext(t.Context(), "PUT", "http://x",
					&drip{t.Context(), max(tt.caller, time.Nanosecond), 10})
				if err != nil {
					t.Fatal(err)
				}
				resp, err := client.RoundTrip(send, 1, r)
				if !errors.Is(err, tt.want) {
					t.Errorf("%v, expected %v", err, tt.want)
				}
				if err == nil {
					resp.Body.Close()
				}
			})
		})
	}
}

// TestCancelled: a cancelled context ends every call immediately.
func TestCancelled(t *testing.T) {
	g := holdingOne(t)
	base := startNode(t, node.Config{Storage: holding(t, g, 0)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := newClient(t, base, &client.Options{Trust: pinned(g)})
	_, merr := c.Manifest(ctx, g.Store, merkle.Hash{})
	_, serr := c.Stat(ctx, g.Ref(0))
	_, perr := c.Push(ctx, &client.Push{Manifest: g.Manifest, Content: memory(t, g)})
	for _, err := range []error{merr, serr, perr, c.Ready(ctx)} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v, expected context.Canceled", err)
		}
	}
}
