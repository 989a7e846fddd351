package remote_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/dig-network/digstore/remote"
)

// TestPushAskedToWait checks that a push answered with 429, at either step, is repeated after the
// time in Retry-After.
func TestPushAskedToWait(t *testing.T) {
	for _, path := range []string{"/module/upload", "/module"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel() // it waits
			s, l, local := publisher(t, 1)
			refused := time.Time{}
			l.instead = func(w http.ResponseWriter, r *http.Request, tail string) bool {
				if tail != path || r.Method == http.MethodGet || !refused.IsZero() {
					return false
				}
				refused = time.Now()
				w.Header().Set("Retry-After", "2")
				http.Error(w, "rate limited", http.StatusTooManyRequests)
				return true
			}
			var waits []time.Duration
			o := &remote.ClientOptions{OnRetry: func(_ error, wait time.Duration) {
				waits = append(waits, wait)
			}}
			report, err := remote.Push(t.Context(), s.client(l, o), local.Memory)
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(refused); refused.IsZero() || took < 2*time.Second {
				t.Errorf("sent again after %v, the host asked for 2s", took)
			}
			if len(waits) != 1 || waits[0] != 2*time.Second {
				t.Errorf("waits %v, want 2s", waits)
			}
			if report == nil {
				t.Error("no report")
			}
		})
	}
}
