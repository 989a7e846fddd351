package chain

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// A Tip is the newest generation of a store that is deep enough, with its block and its source.
type Tip struct {
	State
	Height uint32 // of its block
	Depth  uint32 // of its block; 1 is the newest block
	Peak   Block  // the newest block of the source; its Time may be 0
	Status Status
	Trust  Trust
	Source string    // the name of the source
	Asked  time.Time // when the source was asked
	// Pending is a newer state that is not deep enough yet, and PendingHeight is the height of
	// its block. If only PendingHeight is set, the newer state is not known.
	Pending       *State
	PendingHeight uint32
	// MeltedHeight is the block that destroyed the store, for status StatusMelted.
	MeltedHeight uint32
}

// Tip returns the newest generation of a store. If it does not need the history it does not read
// it; then Generation is -1. A destroyed store is not an error; its Status is
// [StatusMelted]. Errors wrap those of [Source], [ErrStoreNotFound], [ErrNotMinted],
// [ErrNotDataStore], [ErrShallow], [ErrSourceInvalid], [ErrRollback], [ErrStaleSource],
// [ErrWrongNetwork] and the others of this package.
func (r *Resolver) Tip(ctx context.Context, store auth.StoreID) (*Tip, error) {
	v, err := r.view(ctx, store, false)
	if err != nil {
		return r.cachedTip(ctx, store, err)
	}
	i := v.line.read(v.peak, r.opt.MinDepth)
	if i < 0 || v.line.state(i) == nil {
		// The last generations are not deep enough: an earlier one may be.
		if v, err = r.view(ctx, store, true); err != nil {
			return r.cachedTip(ctx, store, err)
		}
		if i = v.line.read(v.peak, r.opt.MinDepth); i < 0 {
			return nil, fmt.Errorf("store %v: %w: want depth %d, found the first coin in block %d of %d",
				store, ErrShallow, r.opt.MinDepth, v.line.entries[0].Height, v.peak.Height)
		}
	}
	return r.tip(v, i), nil
}

// tip describes entry i of a view.
func (r *Resolver) tip(v *view, i int) *Tip {
	e := v.line.entries[i]
	t := &Tip{
		State: *v.line.state(i), Height: e.Height, Depth: depth(v.peak, e.Height), Peak: v.peak,
		Status: StatusShallow, Trust: trustOf(r.source), Source: nameOf(r.source), Asked: v.at,
	}
	if t.Depth >= r.opt.SettledDepth {
		t.Status = StatusAnchored
	}
	if last := len(v.line.entries) - 1; i < last {
		t.Pending, t.PendingHeight = v.line.state(last), v.line.entries[last].Height
	} else {
		t.PendingHeight = v.line.pending
	}
	if m := v.line.melted; m != nil {
		if depth(v.peak, m.Height) >= r.opt.MinDepth {
			t.Status, t.MeltedHeight = StatusMelted, m.Height
		} else {
			t.PendingHeight = m.Height
		}
	}
	return t
}

// cachedTip returns the newest settled generation while the source is unavailable, if the
// options allow it.
func (r *Resolver) cachedTip(ctx context.Context, store auth.StoreID, why error) (*Tip, error) {
	unavailable := errors.Is(why, ErrUnavailable) || errors.Is(why, ErrRateLimited)
	if r.opt.AllowCached <= 0 || !unavailable || ctx.Err() != nil {
		return nil, why
	}
	h, unlock, err := r.lockStore(ctx, store)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if h.line == nil || h.line.settled == 0 {
		return nil, fmt.Errorf("%w (no settled generation of store %v was kept)", why, store)
	}
	if age := r.opt.Now().Sub(h.line.checked); age > r.opt.AllowCached || age < -r.opt.AllowCached {
		return nil, fmt.Errorf("%w (the kept generation of store %v is %v old, allowed are %v)",
			why, store, age.Round(time.Second), r.opt.AllowCached)
	}
	i := h.line.settled - 1
	e := h.line.entries[i]
	t := &Tip{
		State: *h.line.state(i), Height: e.Height, Depth: r.opt.SettledDepth, Status: StatusCached,
		Trust:  trustOf(r.source),
		Source: nameOf(r.source), Asked: h.line.checked,
	}
	if m := h.line.melted; m != nil {
		t.Status, t.MeltedHeight = StatusMelted, m.Height
	}
	return t, nil
}

// CurrentRoot returns the root of the store's newest generation, zero if it has no content yet.
// It implements remote.Anchor. A destroyed store is a [*MeltedError]; other errors are those of
// Tip.
func (r *Resolver) CurrentRoot(ctx context.Context, store auth.StoreID) (merkle.Hash, error) {
	t, err := r.alive(ctx, store)
	if err != nil {
		return merkle.Hash{}, err
	}
	return t.Root(), nil
}

// alive is like Tip, with an error for a destroyed store.
func (r *Resolver) alive(ctx context.Context, store auth.StoreID) (*Tip, error) {
	t, err := r.Tip(ctx, store)
	if err == nil && t.Status == StatusMelted {
		return nil, &MeltedError{Last: &t.State, Height: t.MeltedHeight}
	}
	return t, err
}
