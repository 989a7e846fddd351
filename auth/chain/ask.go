package chain

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dig-network/digstore/auth"
)

// blockTime is how long a block takes on mainnet, on average.
const blockTime = 18750 * time.Millisecond

// maxBack is how many earlier blocks are searched for one with a time.
const maxBack = 256

// errMoved is a contradiction that a reorganization between two requests can cause. The
// requests are repeated once.
var errMoved = errors.New("the chain moved")

// ask reads a store from the source. The caller holds the lock of the store.
func (r *Resolver) ask(ctx context.Context, store auth.StoreID, h *held, whole bool) (*view,
	error) {
	if err := r.checkNetwork(ctx); err != nil {
		return nil, err
	}
	var line *lineage
	var peak *Block
	for try := 1; ; try++ {
		q := &questions{
			Source: r.source, name: nameOf(r.source), store: store,
			settled: r.opt.SettledDepth, hops: r.opt.MaxHops,
		}
		var err error
		if peak, err = q.peak(ctx); err == nil {
			line, err = q.resolve(ctx, h.line, whole)
		}
		if err == nil && q.highest > q.top.Height {
			// The answer may be of a block that is newer than q.top.
			if peak, err = q.peak(ctx); err == nil && q.highest > peak.Height {
				err = q.invalid("the peak", "an answer names block %d, and the newest is %d", q.highest,
					peak.Height)
			}
		}
		if err == nil {
			break
		}
		if try == 1 && errors.Is(err, errMoved) {
			continue
		}
		return nil, fmt.Errorf("read store %v from the chain: %w", store, err)
	}
	seen, err := r.checkPresent(ctx, *peak, h.seen)
	if err != nil {
		return nil, err
	}
	now := r.opt.Now()
	line.checked = now
	line.settle(*peak, r.opt.SettledDepth)
	changed := h.line == nil || line.differs(h.line)
	if r.opt.Memory != nil && (changed || now.Sub(h.line.checked) >= time.Minute) {
		if err := r.remember(ctx, store, line, seen); err != nil {
			return nil, err
		}
	}
	h.line, h.seen = line, seen
	return &view{line: line, peak: *peak, at: now}, nil
}

// checkNetwork checks the network of the source once, if the source can tell it.
func (r *Resolver) checkNetwork(ctx context.Context) error {
	n, ok := r.source.(NetworkSource)
	if !ok {
		return nil
	}
	var known bool
	select {
	case known = <-r.named:
	case <-ctx.Done():
		return fmt.Errorf("ask %s for its network: %w", nameOf(r.source), context.Cause(ctx))
	}
	defer func() { r.named <- known }()
	if known {
		return nil
	}
	name, err := n.Network(ctx)
	if errors.Is(err, errors.ErrUnsupported) {
		known = true
		return nil
	}
	if err != nil {
		return err
	}
	if name != r.opt.Network {
		err := fmt.Errorf("%w: want %s, found %s", ErrWrongNetwork, r.opt.Network, quote(name))
		return &SourceError{Source: nameOf(r.source), Asked: "its network", Err: err}
	}
	known = true
	return nil
}

// checkPresent compares the time of the newest block with the clock. Most blocks have no time.
// Then it uses seen, if the number of blocks since fits the elapsed time, or else the nearest
// block with a time. It returns the newest known block with a time.
func (r *Resolver) checkPresent(ctx context.Context, peak, seen Block) (Block, error) {
	if r.opt.MaxSkew < 0 {
		return seen, nil
	}
	now := r.opt.Now()
	if peak.Time == 0 && seen.Time != 0 && peak.Height >= seen.Height {
		expected := seen.When().Add(time.Duration(peak.Height-seen.Height) * blockTime)
		if now.Sub(expected).Abs() <= r.opt.MaxSkew {
			return seen, nil
		}
	}
	b, err := timed(ctx, r.source, peak)
	if err != nil {
		return seen, err
	}
	if off := now.Sub(b.When()); off.Abs() > r.opt.MaxSkew {
		err := fmt.Errorf("%w: block %d has the time %s, %v from now, allowed are %v; the source is "+
			"behind, "+
			"or this machine's clock is wrong", ErrStaleSource, peak.Height,
			b.When().UTC().Format(time.RFC3339), off.Round(time.Second), r.opt.MaxSkew)
		return seen, &SourceError{Source: nameOf(r.source), Asked: "its newest block", Err: err}
	}
	return b, nil
}

// timed returns the nearest block with a time: b or one before it.
func timed(ctx context.Context, src Source, b Block) (Block, error) {
	for range maxBack {
		if b.Time != 0 {
			return b, nil
		}
		to := b.PrevTransaction
		if to == 0 || to >= b.Height {
			if to = b.Height - 1; b.Height == 0 {
				break
			}
		}
		next, err := blockAt(ctx, src, to)
		if err != nil {
			return b, err
		}
		if next == nil {
			err := fmt.Errorf("%w: it has block %d and not this one", ErrSourceInvalid, b.Height)
			return b, &SourceError{Source: nameOf(src), Asked: fmt.Sprintf("block %d", to), Err: err}
		}
		b = *next
	}
	err := fmt.Errorf("%w: no block near %d has a time", ErrSourceInvalid, b.Height)
	return b, &SourceError{Source: nameOf(src), Asked: "the time of its newest block", Err: err}
}

// blockAt is BlockAt with a check that the answer has the height of the request.
func blockAt(ctx context.Context, src Source, height uint32) (*Block, error) {
	b, err := src.BlockAt(ctx, height)
	if err == nil && b != nil && b.Height != height {
		err := fmt.Errorf("%w: it answered with block %d", ErrSourceInvalid, b.Height)
		return nil, &SourceError{Source: nameOf(src), Asked: fmt.Sprintf("block %d", height), Err: err}
	}
	return b, err
}
