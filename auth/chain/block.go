package chain

import (
	"context"
	"fmt"
	"time"
)

// DefaultBlockWindow is how old a block may be by default to show that something is fresh.
const DefaultBlockWindow = 600 * time.Second

// VerifyBlock checks that ref is a block of the chain, with its hash and with its time (for a block without one, that of
// the nearest before it), and that it is not older than window, measured from the newest block. A window of 0 is
// [DefaultBlockWindow]. A block that is not there or differs is [ErrNotAnchored], one that is too old
// [ErrOldBlock]; other errors are those of [Source], [ErrStaleSource] and [ErrWrongNetwork]. See auth/chain/LINEAGE.md 8.5.
func (r *Resolver) VerifyBlock(ctx context.Context, ref Block, window time.Duration) error {
	if window <= 0 {
		window = DefaultBlockWindow
	}
	if err := r.checkNetwork(ctx); err != nil {
		return err
	}
	name := nameOf(r.source)
	peak, err := r.source.Peak(ctx)
	if err != nil {
		return err
	}
	if peak == nil {
		return &SourceError{Source: name, Asked: "its newest block", Err: fmt.Errorf("%w: it has none", ErrUnavailable)}
	}
	newest, err := timed(ctx, r.source, *peak)
	if err != nil {
		return err
	}
	if off := r.opt.Now().Sub(newest.When()); r.opt.MaxSkew >= 0 && off.Abs() > r.opt.MaxSkew {
		return &SourceError{Source: name, Asked: "its newest block", Err: fmt.Errorf("%w: it is %v from now", ErrStaleSource, off.Round(time.Second))}
	}
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("block %d, %v: %w: %s", ref.Height, ref.Hash, ErrNotAnchored, fmt.Sprintf(format, args...))
	}
	if ref.Height > peak.Height {
		return refuse("the newest block of %s is %d", name, peak.Height)
	}
	found, err := blockAt(ctx, r.source, ref.Height)
	if err != nil {
		return err
	}
	if found == nil {
		return refuse("%s does not have it", name)
	}
	if found.Hash != ref.Hash {
		return refuse("at this height %s has %v", name, found.Hash)
	}
	at, err := timed(ctx, r.source, *found)
	if err != nil {
		return err
	}
	if at.Time != ref.Time {
		return refuse("its time is %d, not %d", at.Time, ref.Time)
	}
	if newest.Time < at.Time {
		return &SourceError{Source: name, Asked: "its newest block", Err: fmt.Errorf("%w: block %d is older than block %d", ErrSourceInvalid, newest.Height, at.Height)}
	}
	if age := time.Duration(min(newest.Time-at.Time, 1<<32)) * time.Second; age > window {
		return fmt.Errorf("block %d, %v: %w: the newest block is %v younger, and %v are allowed", ref.Height, ref.Hash, ErrOldBlock, age, window)
	}
	return nil
}
