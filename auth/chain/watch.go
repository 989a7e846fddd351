package chain

import (
	"context"
	"iter"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/backoff"
	"github.com/dig-network/digstore/merkle"
)

// DefaultWatchInterval is the default interval of [Resolver.Watch], about the time of one block
// with transactions.
const DefaultWatchInterval = time.Minute

// WatchOptions configure [Resolver.Watch]. A nil *WatchOptions means the defaults.
type WatchOptions struct {
	// Every is the pause between the end of an iteration of the loop and the next request.
	// Default [DefaultWatchInterval]. A request within [Options.TipAge] of the last answer gets
	// that answer again.
	Every time.Duration
	// Held returns the root that the caller has, zero for none. A tip with another root is
	// yielded again after each request until the caller has it, so that a failed action is
	// repeated. nil means the root that was yielded last; then the first tip is always yielded.
	Held func() merkle.Hash
	// Pause waits for d and returns an error when ctx is done. nil means a timer. Tests, and
	// programs that are notified of new blocks, set it.
	Pause func(ctx context.Context, d time.Duration) error
}

// Watch calls [Resolver.Tip] at once and then repeatedly, and yields the tip when its root
// differs from the previous one, or from the caller's; see [WatchOptions]. Tips have at least
// the depth of [Options.MinDepth]. If a reorganization removes a root, Watch yields the tip
// before it.
//
// If Tip fails, Watch yields a nil tip and the error, and continues; the caller can leave the
// loop. A destroyed store is yielded with [StatusMelted] and ends the loop. When ctx ends, the
// loop ends without an error. Watch starts no goroutine, and its result can be used for several
// loops.
func (r *Resolver) Watch(ctx context.Context, store auth.StoreID, o *WatchOptions) iter.Seq2[*Tip,
	error] {
	var opt WatchOptions
	if o != nil {
		opt = *o
	}
	if opt.Every <= 0 {
		opt.Every = DefaultWatchInterval
	}
	if opt.Pause == nil {
		opt.Pause = backoff.Sleep
	}
	return func(yield func(*Tip, error) bool) {
		var last *Tip
		known := func(root merkle.Hash) bool {
			if opt.Held != nil {
				return root == opt.Held()
			}
			return last != nil && root == last.Root()
		}
		for ctx.Err() == nil {
			switch tip, err := r.Tip(ctx, store); {
			case ctx.Err() != nil:
				return
			case err != nil:
				if !yield(nil, err) {
					return
				}
			case tip.Status == StatusMelted:
				yield(tip, nil)
				return
			case !known(tip.Root()):
				last = tip
				if !yield(tip, nil) {
					return
				}
			}
			if opt.Pause(ctx, opt.Every) != nil {
				return
			}
		}
	}
}
