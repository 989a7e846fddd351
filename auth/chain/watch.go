package chain

import (
	"context"
	"iter"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/backoff"
	"github.com/dig-network/digstore/merkle"
)

// DefaultWatchInterval is how long [Resolver.Watch] waits by default between two looks: about one block with
// transactions.
const DefaultWatchInterval = time.Minute

// WatchOptions say how a [Resolver.Watch] looks. A nil *WatchOptions is all defaults.
type WatchOptions struct {
	// Every is the pause between the end of one turn of the loop and the next look. Default
	// [DefaultWatchInterval]. A look within [Options.TipAge] of the last answer gets that answer again.
	Every time.Duration
	// Held returns the root that the watcher has, zero for none: a tip with another root is yielded at every look
	// until the watcher has it, so that what failed is tried again. nil: the root that was yielded last, and the
	// first tip is always yielded.
	Held func() merkle.Hash
	// Pause waits, and returns an error once ctx is done. nil: a timer. Tests and programs with a trigger of their
	// own set it.
	Pause func(ctx context.Context, d time.Duration) error
}

// Watch follows a store: it asks for [Resolver.Tip] again and again, and yields the tip when its root is another one
// than before, or than the watcher has; see [WatchOptions]. It looks once at the beginning. Tips are as deep as
// [Options.MinDepth] says: what is not is not yielded. A root that the chain gave up is followed by the one before
// it.
//
// A look that fails yields a nil tip and the error of Tip, and the watch goes on: whether to is for the loop to say,
// by leaving it. A store that was destroyed is yielded with [StatusMelted], and ends the watch. The end of ctx ends it
// without a word. Nothing runs beside the loop, which may be started again.
func (r *Resolver) Watch(ctx context.Context, store auth.StoreID, o *WatchOptions) iter.Seq2[*Tip, error] {
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
