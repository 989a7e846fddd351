// Package backoff repeats failed operations. The delay before another attempt is 250 ms, doubled
// with each attempt up to 10 s, of which a random part is waited so that many clients do not retry
// at the same time. See remote/PROTOCOL.md 9.2 and auth/chain/LINEAGE.md 6.3.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	// First is the longest wait after the first attempt.
	First = 250 * time.Millisecond
	// Max is the longest wait after any.
	Max = 10 * time.Second
)

// Wait is the wait after the n-th attempt, from 1: more than 0, and at most
// First doubled n-1 times or Max.
func Wait(n int) time.Duration {
	limit := Max
	if n < 8 {
		limit = min(Max, First<<(n-1))
	}
	return rand.N(limit) + 1
}

// Sleep waits for d, or returns the context's error as soon as it has one.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
