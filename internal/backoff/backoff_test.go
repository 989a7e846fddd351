package backoff_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dig-network/digstore/internal/backoff"
)

// Waits double up to ten seconds, and differ.
func TestWait(t *testing.T) {
	for n, most := range map[int]time.Duration{1: 250 * time.Millisecond, 2: 500 * time.Millisecond,
		5: 4 * time.Second, 6: 8 * time.Second,
		7: 10 * time.Second, 8: 10 * time.Second, 1 << 20: 10 * time.Second} {
		seen, longest := map[time.Duration]bool{}, time.Duration(0)
		for range 1000 {
			d := backoff.Wait(n)
			if d <= 0 || d > most {
				t.Fatalf("wait %d is %v, want more than 0 and at most %v", n, d, most)
			}
			seen[d], longest = true, max(longest, d)
		}
		if len(seen) < 900 || longest < most*9/10 {
			t.Errorf("wait %d: %d different values up to %v, want them spread up to %v", n, len(seen),
				longest, most)
		}
	}
}

// Sleep ends with the time or with the context.
func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if err := backoff.Sleep(t.Context(), time.Minute); err != nil ||
			time.Since(start) != time.Minute {
			t.Errorf("slept %v: %v", time.Since(start), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := backoff.Sleep(ctx, time.Minute); !errors.Is(err, context.DeadlineExceeded) ||
			time.Since(start) != time.Minute+time.Second {
			t.Errorf("slept %v: %v", time.Since(start), err)
		}
	})
}
