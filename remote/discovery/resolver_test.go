package discovery_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/discovery"
	"github.com/dig-network/digstore/remote/remotetest"
)

func TestResolver(t *testing.T) {
	id := auth.StoreID{1}
	named := remote.URL{Scheme: "dig", Host: "example.org", Store: id}
	local := remote.URL{Scheme: "dig", Store: id}
	const (
		secure = "https://dig.local"
		plain  = "http://dig.local"
		here   = "http://localhost:9778"
		public = "https://rpc.dig.net"
	)
	for _, c := range []struct {
		name     string
		resolver discovery.Resolver
		u        remote.URL
		answers  []string
		asked    []string
		want     string // origin
		err      error
	}{
		{name: "a host that is named", u: named, want: "https://example.org"},
		{name: "a host that is named, for a change", u: named, resolver: discovery.Resolver{LocalOnly: true}, want: "https://example.org"},
		{name: "the public node named, for a change", u: remote.URL{Scheme: "dig", Host: "rpc.dig.net", Store: id},
			resolver: discovery.Resolver{LocalOnly: true}, err: discovery.ErrNoLocalNode},
		{name: "configured", u: local, resolver: discovery.Resolver{Node: remote.URL{Scheme: "https", Host: "node.example"}}, want: "https://node.example"},
		{name: "the first candidate", u: local, answers: []string{secure, plain, here}, asked: []string{secure}, want: secure},
		{name: "not plain", u: local, answers: []string{plain, here}, asked: []string{secure, here}, want: here},
		{name: "plain, as allowed", u: local, resolver: discovery.Resolver{AllowPlainLocal: true}, answers: []string{plain, here},
			asked: []string{secure, plain}, want: plain},
		{name: "another port", u: local, resolver: discovery.Resolver{Port: 9000}, answers: []string{"http://localhost:9000"},
			asked: []string{secure, "http://localhost:9000"}, want: "http://localhost:9000"},
		{name: "the public node", u: local, asked: []string{secure, here}, want: public},
		{name: "not the public node", u: local, resolver: discovery.Resolver{LocalOnly: true}, asked: []string{secure, here}, err: discovery.ErrNoLocalNode},
	} {
		t.Run(c.name, func(t *testing.T) {
			var asked []string
			c.resolver.Probe = func(_ context.Context, origin string) error {
				if asked = append(asked, origin); slices.Contains(c.answers, origin) {
					return nil
				}
				return errors.New("nobody there")
			}
			got, err := c.resolver.Resolve(t.Context(), c.u)
			if !errors.Is(err, c.err) || err == nil &&
				(len(got) != 1 || got[0].Origin() != c.want || got[0].Store != id) {
				t.Errorf("%v, %v; want %s, %v", got, err, c.want, c.err)
			}
			if !slices.Equal(asked, c.asked) {
				t.Errorf("asked %q, want %q", asked, c.asked)
			}
		})
	}
}

// A probe without an answer ends after ProbeTimeout; canceling the context ends all probes.
func TestProbeTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }
		r := &discovery.Resolver{Probe: silent, ProbeTimeout: time.Second}
		begin := time.Now()
		if got, err := r.Resolve(t.Context(),
			remote.URL{Scheme: "dig",
				Store: auth.StoreID{1}}); err != nil || got[0].Host != remote.DefaultHost || time.Since(
			begin) != 2*time.Second {
			t.Errorf("%v, %v after %v", got, err, time.Since(begin))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if got, err := r.Resolve(ctx, remote.URL{Scheme: "dig", Store: auth.StoreID{1}}); !errors.Is(err,
			context.DeadlineExceeded) {
			t.Errorf("%v, %v", got, err)
		}
	})
}

func TestProbe(t *testing.T) {
	for _, c := range []struct {
		name, answer string
		code         int
		ok           bool
	}{
		{"ours", `{"jsonrpc":"2.0","id":1,"result":{"ok":true,"service":"dig-rpc","status":"ok"}}`, 200, true},
		{"a later node", `{"jsonrpc":"2.0","id":1,"result":{"status":"ok"}}`, 200, true},
		{"another service", `{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}`, 200, false},
		{"a web page", `<html>`, 200, false},
		{"a gateway", `{}`, 502, false},
		{"not well", `{"jsonrpc":"2.0","id":1,"result":{"ok":false,"status":"bad"}}`, 200, false},
		{"an endless answer", strings.Repeat(" ", 1<<20), 200, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			transport := roundTripper(func(r *http.Request) (*http.Response, error) {
				if r.URL.String() != "http://localhost:9778/" || r.Method != http.MethodPost ||
					r.Header.Get("X-Dig-Identity") != "" {
					t.Errorf("%s %s", r.Method, r.URL)
				}
				return &http.Response{StatusCode: c.code, Header: http.Header{},
					Body: io.NopCloser(strings.NewReader(c.answer))}, nil
			})
			err := discovery.Probe(t.Context(), transport, "http://localhost:9778")
			if (err == nil) != c.ok {
				t.Error(err)
			}
		})
	}
}

// TestDocumentedLimits: the limits are those of remote/PROTOCOL.md 2.5.
func TestDocumentedLimits(t *testing.T) {
	if discovery.ProbeTimeout != 500*time.Millisecond || discovery.LocalPort != 9778 {
		t.Error("PROTOCOL.md 2.5 states other limits than the code has")
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A client follows its resolver to the plain dig.local only where that was allowed.
func TestPlainLocal(t *testing.T) {
	ok := `{"current_root":"` + strings.Repeat("20", 32) + `"}`
	for _, allowed := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			var host string
			origin := remotetest.NewOrigin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				host = r.Host
				io.WriteString(w, ok)
			}))
			defer origin.Close()
			resolver := &discovery.Resolver{AllowPlainLocal: true,
				Probe: func(_ context.Context, origin string) error {
					if strings.HasPrefix(origin, "https:") {
						return errors.New("no TLS")
					}
					return nil
				}}
			// The client's own option decides, even if another type wraps the resolver.
			c, err := remote.NewClient(remote.URL{Scheme: "dig", Store: auth.StoreID{1}},
				&remote.ClientOptions{
					Resolver: struct{ remote.Resolver }{resolver}, AllowPlainLocal: allowed, Dial: origin.Dial})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_, err = c.Describe(t.Context())
			if allowed && (err != nil || host != "dig.local") ||
				!allowed && !errors.Is(err, remote.ErrInsecure) {
				t.Errorf("allowed %v: %q, %v", allowed, host, err)
			}
		})
	}
}
