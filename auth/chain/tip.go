package chain

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// A Tip is the newest generation of a store that is deep enough to be read, and what that rests on.
type Tip struct {
	State
	Height uint32 // of the block that holds it
	Depth  uint32 // 1: in the newest block
	Peak   Block  // the newest block of the source; its Time may be 0
	Status Status
	Trust  Trust
	Source string    // how the source prints
	Asked  time.Time // when the source said so
	// Pending is a newer state that is not deep enough yet, and PendingHeight the block that holds it. Pending
	// may be nil next to a height: something is known to follow, and not what.
	Pending       *State
	PendingHeight uint32
	// MeltedHeight is the block that destroyed the store, for status StatusMelted.
	MeltedHeight uint32
}

// Tip returns the newest generation of a store. It asks for no history where it can do without: then Generation is
// -1. A store that was destroyed is no error here: its Status is [StatusMelted]. Errors wrap those of [Source] and
// [ErrStoreNotFound], [ErrNotMinted], [ErrNotDataStore], [ErrShallow], [ErrSourceInvalid], [ErrRollback],
// [ErrStaleSource], [ErrWrongNetwork] and the others of this package.
func (r *Resolver) Tip(ctx context.Context, store auth.StoreID) (*Tip, error) {
	v, err := r.look(ctx, store, false)
	if err != nil {
		return r.cachedTip(ctx, store, err)
	}
	i := v.line.read(v.peak, r.opt.MinDepth)
	if i < 0 || v.line.state(i) == nil {
		// Only the last generations are at hand: what is deep enough may be before them.
		if v, err = r.look(ctx, store, true); err != nil {
			return r.cachedTip(ctx, store, err)
		}
		if i = v.line.read(v.peak, r.opt.MinDepth); i < 0 {
			return nil, fmt.Errorf("store %v: %w: its first coin is in block %d of %d, and a depth of %d is wanted",
				store, ErrShallow, v.line.entries[0].Height, v.peak.Height, r.opt.MinDepth)
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

// cachedTip stands in for an answer when the source cannot be asked, where the options allow it.
func (r *Resolver) cachedTip(ctx context.Context, store auth.StoreID, why error) (*Tip, error) {
	if r.opt.AllowCached <= 0 || !errors.Is(why, ErrUnavailable) && !errors.Is(why, ErrRateLimited) || ctx.Err() != nil {
		return nil, why
	}
	h, done, err := r.hold(ctx, store)
	if err != nil {
		return nil, err
	}
	defer done()
	if h.line == nil || h.line.settled == 0 {
		return nil, fmt.Errorf("%w (and nothing settled is kept of store %v)", why, store)
	}
	if age := r.opt.Now().Sub(h.line.checked); age > r.opt.AllowCached || age < -r.opt.AllowCached {
		return nil, fmt.Errorf("%w (what is kept of store %v is %v old, and %v are allowed)", why, store, age.Round(time.Second), r.opt.AllowCached)
	}
	i := h.line.settled - 1
	e := h.line.entries[i]
	t := &Tip{
		State: *h.line.state(i), Height: e.Height, Depth: r.opt.SettledDepth, Status: StatusCached, Trust: trustOf(r.source),
		Source: nameOf(r.source), Asked: h.line.checked,
	}
	if m := h.line.melted; m != nil { // not to be taken for one that lives
		t.Status, t.MeltedHeight = StatusMelted, m.Height
	}
	return t, nil
}

// CurrentRoot returns the root of the store's newest generation, zero where it has no content yet. It makes a
// Resolver what package remote calls an Anchor. A destroyed store is a [*MeltedError]; other errors are those of
// Tip.
func (r *Resolver) CurrentRoot(ctx context.Context, store auth.StoreID) (merkle.Hash, error) {
	t, err := r.alive(ctx, store)
	if err != nil {
		return merkle.Hash{}, err
	}
	return t.Root(), nil
}

// alive is Tip for a store that is to be there still.
func (r *Resolver) alive(ctx context.Context, store auth.StoreID) (*Tip, error) {
	t, err := r.Tip(ctx, store)
	if err == nil && t.Status == StatusMelted {
		return nil, &MeltedError{Last: &t.State, Height: t.MeltedHeight}
	}
	return t, err
}
