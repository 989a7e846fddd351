package chain

import (
	"context"
	"fmt"
	"time"
)

// DefaultBlockWindow is the default maximum age of a block in VerifyBlock.
const DefaultBlockWindow = 600 * time.Second

// VerifyBlock checks that ref is a block of the chain with its hash and its time (or, for a
// block without a time, that of the nearest block before it), and that it is not older than
// window, measured from the newest block. A window of 0 is [DefaultBlockWindow]. A missing or
// different block is [ErrNotAnchored]; one that is too old is [ErrOldBlock]. Other errors are
// those of [Source], [ErrStaleSource] and [ErrWrongNetwork]. See auth/chain/LINEAGE.md 8.5.
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
		return &SourceError{Source: name, Asked: "its newest block",
			Err: fmt.Errorf("%w: it has none", ErrUnavailable)}
	}
	newest, err := timed(ctx, r.source, *peak)
	if err != nil {
		return err
	}
	if off := r.opt.Now().Sub(newest.When()); r.opt.MaxSkew >= 0 && off.Abs() > r.opt.MaxSkew {
		return &SourceError{Source: name, Asked: "its newest block",
			Err: fmt.Errorf("%w: it is %v from now", ErrStaleSource, off.Round(time.Second))}
	}
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("block %d, %v: %w: %s", ref.Height, ref.Hash, ErrNotAnchored,
			fmt.Sprintf(format, args...))
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
		return refuse("at this height %s has block %v", name, found.Hash)
	}
	at, err := timed(ctx, r.source, *found)
	if err != nil {
		return err
	}
	if at.Time != ref.Time {
		return refuse("want time %d, found %d", ref.Time, at.Time)
	}
	if newest.Time < at.Time {
		return &SourceError{Source: name, Asked: "its newest block",
			Err: fmt.Errorf("%w: block %d is older than block %d", ErrSourceInvalid, newest.Height,
				at.Height)}
	}
	if age := time.Duration(min(newest.Time-at.Time, 1<<32)) * time.Second; age > window {
		return fmt.Errorf("block %d, %v: %w: %v older than the newest block, allowed are %v",
			ref.Height, ref.Hash, ErrOldBlock, age, window)
	}
	return nil
}
