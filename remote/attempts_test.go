package remote_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/rpc"
)

// TestAttemptsInTurn checks that a client makes four attempts in all for a module, from a host
// that fails differently each time.
func TestAttemptsInTurn(t *testing.T) {
	for _, c := range []struct {
		name string
		held bool // the generation before is held, so that the recipe is requested first
	}{{"clone", false}, {"pull", true}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // it waits
			s, l, to := grown(t, 400, 1, nil)
			if !c.held {
				to = remotetest.NewMemory(s.id, nil)
			}
			var asked atomic.Int32
			l.instead = func(w http.ResponseWriter, r *http.Request, tail string) bool {
				if tail != "/module" {
					return false
				}
				if asked.Add(1)%2 == 1 {
					http.Error(w, "busy", http.StatusServiceUnavailable)
					return true
				}
				r.Header.Del("Accept") // request the whole module; only its first bytes are sent
				rec := httptest.NewRecorder()
				s.server.ServeHTTP(rec, r)
				for name, values := range rec.Header() {
					w.Header()[name] = values
				}
				w.WriteHeader(rec.Code)
				w.Write(rec.Body.Bytes()[:1000])
				panic(http.ErrAbortHandler)
			}
			_, err := remote.Pull(t.Context(), to, s.client(l, nil), remote.Trust{FirstUse: true})
			if n := asked.Load(); err == nil || n != 4 {
				t.Errorf("%d requests, want 4; %v", n, err)
			}
		})
	}
}

// TestAttempts checks that a client makes four attempts of a request that always fails, whatever
// else retries around it.
func TestAttempts(t *testing.T) {
	pull := func(t *testing.T) (*line, func(o *remote.ClientOptions) error) {
		s, l, to := grown(t, 400, 1, nil)
		return l, func(o *remote.ClientOptions) error {
			_, err := remote.Pull(t.Context(), to, s.client(l, o), remote.Trust{})
			return err
		}
	}
	clone := func(t *testing.T) (*line, func(o *remote.ClientOptions) error) {
		s := newSite(t, 2, nil)
		l := s.listen()
		return l, func(o *remote.ClientOptions) error {
			_, err := remote.Clone(t.Context(), (&direct{Memory: s.memory}).empty(), s.client(l, o),
				remote.Trust{FirstUse: true})
			return err
		}
	}
	push := func(t *testing.T) (*line, func(o *remote.ClientOptions) error) {
		s, l, local := publisher(t, 1)
		return l, func(o *remote.ClientOptions) error {
			_, err := remote.Push(t.Context(), s.client(l, o), local.Memory)
			return err
		}
	}
	revoke := func(t *testing.T) (*line, func(o *remote.ClientOptions) error) {
		s := newSite(t, 1, nil)
		l := s.listen()
		return l, func(o *remote.ClientOptions) error {
			return s.client(l, o).Revoke(t.Context(), auth.Tombstone{Store: s.id, Root: merkle.Hash{1}})
		}
	}
	large := &remote.ClientOptions{WindowFetcher: rpc.WindowFetcher{}, InlineLimit: 1}
	for _, c := range []struct {
		name    string
		run     func(t *testing.T) (*line, func(o *remote.ClientOptions) error)
		options *remote.ClientOptions
		broken  func(r *http.Request, tail string) bool
		refuse  int // answer with this status; 0: break the connection
	}{
		{"descriptor", clone, nil, func(r *http.Request, tail string) bool { return tail == "" }, 0},
		{"history", clone, nil, func(r *http.Request, tail string) bool { return tail == "/roots" }, 0},
		{"module", clone, nil, func(r *http.Request, tail string) bool { return tail == "/module" }, 0},
		{"length of a module", clone, large, func(r *http.Request, _ string) bool { return r.Method == http.MethodHead }, 0},
		{"JSON-RPC", clone, large, func(_ *http.Request, tail string) bool { return tail == "/" }, 0},
		{"JSON-RPC, 503", clone, large, func(_ *http.Request, tail string) bool { return tail == "/" }, 503},
		{"recipe", pull, nil, func(r *http.Request, _ string) bool { return r.Header.Get("Accept") != "" }, 0},
		{"chunks", pull, nil, func(r *http.Request, _ string) bool { return r.Header.Get("Range") != "" }, 0},
		{"chunks, 503", pull, nil, func(r *http.Request, _ string) bool { return r.Header.Get("Range") != "" }, 503},
		{"push-init", push, nil, func(_ *http.Request, tail string) bool { return tail == "/module/upload" }, 0},
		{"push-init, 503", push, nil, func(_ *http.Request, tail string) bool { return tail == "/module/upload" }, 503},
		{"push", push, nil, func(r *http.Request, _ string) bool { return r.Method == http.MethodPut }, 0},
		{"tombstone", revoke, nil, func(_ *http.Request, tail string) bool { return tail == "/tombstone" }, 0},
	} {
		for _, half := range []bool{false, true} {
			if half && c.refuse != 0 {
				continue
			}
			name := c.name
			if half {
				name += ", in the middle of the answer"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel() // it waits
				l, run := c.run(t)
				var asked atomic.Int32
				l.instead = func(w http.ResponseWriter, r *http.Request, tail string) bool {
					if !c.broken(r, tail) {
						return false
					}
					asked.Add(1)
					if c.refuse != 0 {
						http.Error(w, "busy", c.refuse)
						return true
					}
					if half {
						w.Header().Set("Content-Length", "100")
						w.Write([]byte("{"))
					}
					panic(http.ErrAbortHandler)
				}
				err := run(c.options)
				if n := asked.Load(); n == 0 || n > 4 {
					t.Errorf("%d requests, want 4; %v", n, err)
				}
			})
		}
	}
}
