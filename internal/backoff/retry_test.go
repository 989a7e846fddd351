package backoff_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dig-network/digstore/internal/backoff"
)

// Do ends for one of five reasons, after as many attempts and waits as the policy says.
func TestDo(t *testing.T) {
	broken, final := errors.New("broken"), errors.New("final")
	second := func(int) time.Duration { return time.Second }
	again := func(after time.Duration) func(error) (time.Duration, bool) {
		return func(err error) (time.Duration, bool) { return after, err == broken }
	}
	for _, c := range []struct {
		name   string
		policy backoff.Policy
		errs   []error // of the attempts; then nil
		limit  time.Duration
		want   backoff.Outcome
		calls  int
		waits  []time.Duration
	}{
		{"at once", backoff.Policy{Attempts: 1}, nil, 0, backoff.Succeeded, 1, nil},
		{"one attempt", backoff.Policy{Attempts: 1}, []error{broken}, 0, backoff.Exhausted, 1, nil},
		{"third attempt", backoff.Policy{Attempts: 3, Wait: second}, []error{broken, final}, 0, backoff.Succeeded, 3, []time.Duration{time.Second, time.Second}},
		{"all attempts", backoff.Policy{Attempts: 3, Wait: second}, []error{broken, broken, broken}, 0, backoff.Exhausted, 3, []time.Duration{time.Second, time.Second}},
		{"not repeated", backoff.Policy{Attempts: 3, Wait: second, Again: again(0)}, []error{broken, final}, 0, backoff.Permanent, 2, []time.Duration{time.Second}},
		{"as the server asks", backoff.Policy{Attempts: 2, Wait: second, Again: again(7 * time.Second)}, []error{broken, broken}, 0, backoff.Exhausted, 2, []time.Duration{7 * time.Second}},
		{"the server asks for too much", backoff.Policy{Attempts: 2, Again: again(time.Hour)}, []error{broken}, 0, backoff.Succeeded, 2, []time.Duration{backoff.MaxAfter}},
		{"interrupted", backoff.Policy{Attempts: 9, Wait: second}, []error{broken, broken, broken}, 1500 * time.Millisecond, backoff.Interrupted, 2, []time.Duration{time.Second, time.Second}},
		{"ended before", backoff.Policy{Attempts: 9, Wait: second}, []error{broken}, -1, backoff.Cancelled, 1, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if c.limit != 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.limit)
					defer cancel()
				}
				var waits []time.Duration
				c.policy.OnRetry = func(_ error, wait time.Duration) { waits = append(waits, wait) }
				calls := 0
				start := time.Now()
				got, err := c.policy.Do(ctx, nil, func() error {
					calls++
					if calls <= len(c.errs) {
						return c.errs[calls-1]
					}
					return nil
				})
				var last error
				if calls <= len(c.errs) {
					last = c.errs[calls-1]
				}
				if got != c.want || err != last || calls != c.calls || !slices.Equal(waits, c.waits) {
					t.Errorf("outcome %d, error %v, %d calls, waits %v; want %d, %v, %d, %v",
						got, err, calls, waits, c.want, last, c.calls, c.waits)
				}
				slept := time.Since(start)
				var all time.Duration
				for _, w := range waits {
					all += w
				}
				if c.limit > 0 {
					all = c.limit
				}
				if slept != all {
					t.Errorf("slept %v, want %v", slept, all)
				}
			})
		})
	}
}

// Operations that share a counter share the attempts; a reset gives them all again. What is not
// repeated does not count.
func TestCounter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c backoff.Counter
		broken := errors.New("broken")
		p := backoff.Policy{Attempts: 4}
		for i := range 3 {
			if o := p.Next(t.Context(), &c, broken); o != backoff.Continue || c.Failed() != i+1 {
				t.Fatalf("outcome %d after %d failures", o, c.Failed())
			}
		}
		never := backoff.Policy{Attempts: 4,
			Again: func(error) (time.Duration, bool) { return 0, false }}
		if o := never.Next(t.Context(), &c, broken); o != backoff.Permanent || c.Failed() != 3 {
			t.Errorf("outcome %d after %d failures, want %d after 3", o, c.Failed(), backoff.Permanent)
		}
		calls := 0
		o, err := p.Do(t.Context(), &c, func() error { calls++; return broken })
		if o != backoff.Exhausted || err != broken || calls != 1 {
			t.Errorf("outcome %d, %v, %d calls, want %d and one call", o, err, calls, backoff.Exhausted)
		}
		c.Reset()
		if o := p.Next(t.Context(), &c, broken); o != backoff.Continue {
			t.Errorf("outcome %d after the reset", o)
		}
	})
}
