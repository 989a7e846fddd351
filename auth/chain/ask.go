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

// maxBack is how many blocks are gone back for one with a time.
const maxBack = 256

// errMoved is a contradiction that a reorganisation between two questions explains: asked again, it may be gone.
var errMoved = errors.New("the chain moved")

// ask asks the source about a store whose turn the caller has.
func (r *Resolver) ask(ctx context.Context, store auth.StoreID, h *held, whole bool) (*view, error) {
	if err := r.checkNetwork(ctx); err != nil {
		return nil, err
	}
	var line *lineage
	var peak *Block
	for try := 1; ; try++ {
		q := &questions{Source: r.source, name: nameOf(r.source), store: store, settled: r.opt.SettledDepth, hops: r.opt.MaxHops}
		var err error
		if peak, err = q.peak(ctx); err == nil {
			line, err = q.resolve(ctx, h.line, whole)
		}
		if err == nil && q.highest > q.top.Height {
			// A block may have come while we asked.
			if peak, err = q.peak(ctx); err == nil && q.highest > peak.Height {
				err = q.invalid("the peak", "it speaks of block %d, and its newest is %d", q.highest, peak.Height)
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
	changed := h.line == nil || len(h.line.entries) != len(line.entries) || h.line.settled != line.settled || h.line.whole != line.whole || (h.line.melted == nil) != (line.melted == nil) ||
		h.line.entries[len(h.line.entries)-1] != line.entries[len(line.entries)-1]
	if r.opt.Memory != nil && (changed || now.Sub(h.line.checked) >= time.Minute) {
		if err := r.remember(ctx, store, line, seen); err != nil {
			return nil, err
		}
	}
	h.line, h.seen = line, seen
	return &view{line: line, peak: *peak, at: now}, nil
}

// checkNetwork asks once which network the source is on, where it can say.
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
		return &SourceError{Source: nameOf(r.source), Asked: "its network", Err: fmt.Errorf("%w: it is on %s, and %s is wanted; name a source of that network, or the network of this source",
			ErrWrongNetwork, quote(name), r.opt.Network)}
	}
	known = true
	return nil
}

// checkPresent holds the newest block against the clock. Most blocks have no time: then one that was seen before
// serves, if the blocks since account for the time since, or else the nearest one that has a time. It returns
// the newest block with a time that is known now.
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
		return seen, &SourceError{Source: nameOf(r.source), Asked: "its newest block", Err: fmt.Errorf(
			"%w: block %d is of %s, %v from now, and %v are allowed; wait until the source has caught up, name another, or set this machine's clock",
			ErrStaleSource, peak.Height, b.When().UTC().Format(time.RFC3339), off.Round(time.Second), r.opt.MaxSkew)}
	}
	return b, nil
}

// timed returns the nearest block that has a time: b itself or one before it.
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
			return b, &SourceError{Source: nameOf(src), Asked: fmt.Sprintf("block %d", to), Err: fmt.Errorf("%w: it has block %d and not this one", ErrSourceInvalid, b.Height)}
		}
		b = *next
	}
	return b, &SourceError{Source: nameOf(src), Asked: "the time of its newest block", Err: fmt.Errorf("%w: no block near %d has one", ErrSourceInvalid, b.Height)}
}

// blockAt is BlockAt of an answer that is held to the question.
func blockAt(ctx context.Context, src Source, height uint32) (*Block, error) {
	b, err := src.BlockAt(ctx, height)
	if err == nil && b != nil && b.Height != height {
		return nil, &SourceError{Source: nameOf(src), Asked: fmt.Sprintf("block %d", height), Err: fmt.Errorf("%w: it answered with block %d", ErrSourceInvalid, b.Height)}
	}
	return b, err
}
