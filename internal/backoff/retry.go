package backoff

import (
	"context"
	"sync/atomic"
	"time"
)

// MaxAfter is the longest wait that a server can ask for.
const MaxAfter = time.Minute

// A Policy says how often a failed operation is attempted, and how long to wait before another
// attempt. The fields are read only.
type Policy struct {
	// Attempts is how often the operation is attempted in all, at least once.
	Attempts int
	// Again reports whether another attempt can help after err, and how long the server asked to wait
	// before it. If that is more than 0, it takes the place of Wait, up to MaxAfter. nil: another
	// attempt can always help.
	Again func(err error) (after time.Duration, ok bool)
	// Wait returns the wait after the n-th failure, from 1. nil: [Wait].
	Wait func(n int) time.Duration
	// OnRetry, if set, is called before each wait.
	OnRetry func(err error, wait time.Duration)
}

// An Outcome says why a [Policy] ended.
type Outcome int

// The outcomes.
const (
	Continue    Outcome = iota // the wait is over: make another attempt
	Succeeded                  // the last attempt succeeded
	Permanent                  // Again reports that no attempt can help
	Exhausted                  // all attempts were made
	Cancelled                  // the context ended before the failure
	Interrupted                // the context ended during a wait
)

// A Counter counts failures in a row. Several operations can share one. The zero value is ready to
// use. Methods may be called concurrently.
type Counter struct{ failed atomic.Int32 }

// Reset sets the counter to zero.
func (c *Counter) Reset() { c.failed.Store(0) }

// Failed returns the number of failures since the last reset.
func (c *Counter) Failed() int { return int(c.failed.Load()) }

// Do calls f until it succeeds, or until [Policy.Next] ends the attempts, and returns the last
// error of f as it is. c counts the failures; it may be nil.
func (p Policy) Do(ctx context.Context, c *Counter, f func() error) (Outcome, error) {
	if c == nil {
		c = new(Counter)
	}
	for {
		err := f()
		if err == nil {
			return Succeeded, nil
		}
		if o := p.Next(ctx, c, err); o != Continue {
			return o, err
		}
	}
}

// Next counts the failure err, and waits for the next attempt. It returns Continue, or why there is
// none: Cancelled, Permanent, Exhausted or Interrupted. The first two are not counted.
func (p Policy) Next(ctx context.Context, c *Counter, err error) Outcome {
	if ctx.Err() != nil {
		return Cancelled
	}
	var after time.Duration
	if p.Again != nil {
		var ok bool
		if after, ok = p.Again(err); !ok {
			return Permanent
		}
	}
	failed := int(c.failed.Add(1))
	if failed >= p.Attempts {
		return Exhausted
	}
	wait := min(after, MaxAfter)
	switch {
	case after > 0:
	case p.Wait != nil:
		wait = p.Wait(failed)
	default:
		wait = Wait(failed)
	}
	if p.OnRetry != nil {
		p.OnRetry(err, wait)
	}
	if Sleep(ctx, wait) != nil {
		return Interrupted
	}
	return Continue
}
