package server_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"github.com/dig-network/digstore/remote"
)

// A line is a loopback listener in front of a site's server that records the requests.
type line struct {
	*httptest.Server
	mu   sync.Mutex
	seen []string // "GET /roots"
	// instead, if set, may answer a request; if it returns false the server answers.
	instead func(w http.ResponseWriter, r *http.Request, tail string) bool
}

// listen starts a listener that is closed with the test.
func (s *site) listen() *line {
	s.t.Helper()
	l := new(line)
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tail := r.URL.Path
		if rest, ok := strings.CutPrefix(r.URL.Path, "/stores/"); ok {
			tail = rest[min(len(rest), 64):]
		}
		l.mu.Lock()
		l.seen = append(l.seen, strings.TrimSpace(r.Method+" "+tail))
		instead := l.instead
		l.mu.Unlock()
		if instead == nil || !instead(w, r, tail) {
			s.server.ServeHTTP(w, r)
		}
	}))
	s.t.Cleanup(l.Close)
	return l
}

// requests returns the requests since the last call.
func (l *line) requests() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := l.seen
	l.seen = nil
	return seen
}

// client returns a client with the site's clock and identity.
func (s *site) client(l *line, o *remote.ClientOptions) *remote.Client {
	s.t.Helper()
	var opt remote.ClientOptions
	if o != nil {
		opt = *o
	}
	if opt.Identity == nil {
		opt.Identity = s.identity
	}
	opt.Now = s.now
	u, err := remote.ParseURL(l.URL + "/stores/" + s.id.String())
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := remote.NewClient(u, &opt)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}
