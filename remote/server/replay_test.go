package server_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dig-network/digstore/auth/request"
	"github.com/dig-network/digstore/remote/server"
)

const (
	staleText    = "request authentication failed: stale request timestamp"
	replayedText = "request authentication failed: replayed nonce"
)

// A captured is a copy of a signed request.
type captured struct {
	method, tail string
	header       http.Header
}

func (s *site) capture(method, tail string) captured {
	return captured{method, tail, s.request(method, s.path(tail), nil).Header}
}

// replay sends the request again, with another query.
func (c captured) replay(s *site, query string) *http.Response {
	r := httptest.NewRequestWithContext(s.t.Context(), c.method, s.path(c.tail)+query, nil)
	r.Header = c.header.Clone()
	return s.answer(r)
}

// TestReplayByAge: remote/PROTOCOL.md 3.5 with nonces in memory, on the system clock. A request is
// valid once, for 300 seconds. After a restart the server has no record of earlier reads, and
// refuses mutating requests from more than 5 seconds before its start.
func TestReplayByAge(t *testing.T) {
	for _, c := range []struct{ method, tail string }{{"GET", ""}, {"HEAD", "/module"},
		{"POST", "/content"}, {"PUT", "/module"}, {"POST", "/module/upload"}, {"POST",
			"/module/complete"}, {"POST", "/tombstone"}} {
		op, _ := request.OpOf(c.method, c.tail)
		for _, age := range []int{0, 1, 4, 5, 6, 299, 300, 301} {
			t.Run(fmt.Sprintf("%s %s after %d s", c.method, c.tail, age), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newSite(t, 1, nil)
					anew := func() { s.server = server.New(s.stores, &server.Options{Limits: noLimit}) }
					s.clock.Store(time.Now().Unix())
					anew()
					used, kept := s.capture(c.method, c.tail), s.capture(c.method, c.tail)
					passes := func(res *http.Response) bool { return res.StatusCode != http.StatusUnauthorized }
					refused := func(res *http.Response, text string) {
						t.Helper()
						if c.method == "HEAD" {
							text = ""
						}
						want(t, res, 401, text)
					}
					if !passes(used.replay(s, "")) {
						t.Fatal("the first time")
					}
					time.Sleep(time.Duration(age) * time.Second)
					text := replayedText
					if age > 300 {
						text = staleText
					}
					for _, query := range []string{"", "?root=" + s.head().Root.String(), "?x=1"} {
						refused(used.replay(s, query), text)
					}
					if age <= 300 != passes(kept.replay(s, "")) {
						t.Errorf("one that was not used is good for 300 s")
					}
					anew()
					switch good := age <= 300 && (!op.Mutating() || age <= 5); {
					case good != passes(used.replay(s, "")):
						t.Errorf("after a restart: want %v", good)
					case good:
						refused(used.replay(s, ""), replayedText)
					default:
						refused(used.replay(s, ""), staleText)
					}
				})
			})
		}
	}
}

// TestReplayInParallel: of many concurrent copies exactly one passes, whatever their query.
func TestReplayInParallel(t *testing.T) {
	s := newSite(t, 1, &server.Options{Limits: noLimit})
	for range 5 {
		c := s.capture("GET", "/module")
		var passed, replayed atomic.Int32
		var wg sync.WaitGroup
		for n := range 32 {
			wg.Go(func() {
				switch res := c.replay(s, "?root="+strings.Repeat(fmt.Sprint(n%10), 64)); res.StatusCode {
				case http.StatusUnauthorized:
					replayed.Add(1)
				default:
					passed.Add(1)
				}
			})
		}
		wg.Wait()
		if passed.Load() != 1 || replayed.Load() != 31 {
			t.Errorf("%d passed and %d were replayed", passed.Load(), replayed.Load())
		}
	}
}

// TestClockThatStepsBack: a nonce that was dropped does not become valid again (remote/PROTOCOL.md
// 3.5).
func TestClockThatStepsBack(t *testing.T) {
	s := newSite(t, 1, nil)
	c := s.capture("GET", "")
	want(t, c.replay(s, ""), 200, "*")
	s.clock.Add(400)
	want(t, s.do("GET", s.path(""), nil), 200, "*") // drops expired nonces
	s.clock.Add(-390)
	want(t, c.replay(s, ""), 401, staleText)
}
