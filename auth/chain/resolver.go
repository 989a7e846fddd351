package chain

import (
	"context"
	"errors"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// Options say what a [Resolver] believes. The zero value is good for mainnet.
type Options struct {
	// Network is the network that the source has to be on, where it can say. Default [Mainnet].
	Network string
	// MinDepth is how deep a generation has to be to be read: 1 is in the newest block. Default 1; at
	// most SettledDepth.
	MinDepth uint32
	// SettledDepth is how deep a generation has to be to be settled. Default 32.
	SettledDepth uint32
	// TipAge is how long an answer is given again without asking. Default 15 s; negative: not at all.
	TipAge time.Duration
	// AllowCached lets the newest settled generation stand, with status [StatusCached], when the source cannot
	// be asked and the last time it could be is no longer ago than this. Default 0: it never does.
	AllowCached time.Duration
	// MaxSkew is how far the source's newest block may be from Now. Default 15 minutes; negative: any.
	MaxSkew time.Duration
	// MaxHops is how many coins a lineage may have. Default 100,000.
	MaxHops int
	// Memory keeps what was found from one program to the next, and with it the guard against sources that
	// lose settled generations. nil: nothing is kept.
	Memory Memory
	// Stores is how many stores are held in memory. Default 256.
	Stores int
	// Now is the clock. nil: time.Now.
	Now func() time.Time
}

// A Resolver answers what the chain says about stores. What was found is kept, and the next question starts
// there. It may be used concurrently; questions about one store are asked one after the other.
//
// It is what package remote takes for an Anchor and a Lineage.
type Resolver struct {
	source Source
	opt    Options
	held   *lru.Cache[auth.StoreID, *held]
	named  chan bool // holds true once the network is known to be the right one
}

// held is what a Resolver holds of one store.
type held struct {
	turn   chan struct{} // holds one token: who has it may ask and change the rest
	loaded bool          // from the Memory
	line   *lineage      // nil: nothing is known
	seen   Block         // the newest block with a time that was seen
	last   *view         // the last answer
}

// A view is one answer of the source about one store.
type view struct {
	line *lineage // never changed
	peak Block
	at   time.Time
	err  error // the store is not there
}

// NewResolver returns a resolver that asks source. It asks nothing yet.
func NewResolver(source Source, o *Options) *Resolver {
	r := &Resolver{source: source, named: make(chan bool, 1)}
	if o != nil {
		r.opt = *o
	}
	def := func(v *uint32, d uint32) {
		if *v == 0 {
			*v = d
		}
	}
	def(&r.opt.SettledDepth, 32)
	def(&r.opt.MinDepth, 1)
	r.opt.MinDepth = min(r.opt.MinDepth, r.opt.SettledDepth)
	if r.opt.Network == "" {
		r.opt.Network = Mainnet
	}
	if r.opt.TipAge == 0 {
		r.opt.TipAge = 15 * time.Second
	}
	if r.opt.MaxSkew == 0 {
		r.opt.MaxSkew = 15 * time.Minute
	}
	if r.opt.MaxHops <= 0 {
		r.opt.MaxHops = 100_000
	}
	if r.opt.Stores <= 0 {
		r.opt.Stores = 256
	}
	if r.opt.Now == nil {
		r.opt.Now = time.Now
	}
	r.held, _ = lru.New[auth.StoreID, *held](r.opt.Stores) // fails for a size below 1 only
	r.named <- false
	return r
}

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
	i := v.line.deep(v.peak, r.opt.MinDepth)
	if i < 0 || v.line.state(i) == nil {
		// Only the last generations are at hand: what is deep enough may be before them.
		if v, err = r.look(ctx, store, true); err != nil {
			return r.cachedTip(ctx, store, err)
		}
		if i = v.line.deep(v.peak, r.opt.MinDepth); i < 0 {
			return nil, fmt.Errorf("store %v: %w: its first coin is in block %d of %d, and a depth of %d is wanted; wait, or lower MinDepth",
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
	return &Tip{
		State: *h.line.state(i), Height: e.Height, Depth: r.opt.SettledDepth, Status: StatusCached, Trust: trustOf(r.source),
		Source: nameOf(r.source), Asked: h.line.checked,
	}, nil
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

// An Entry is one coin of a store's history.
type Entry struct {
	Generation int // place of the coin, from 0; see Roots for what package remote counts
	CoinID     merkle.Hash
	Root       merkle.Hash // zero for a store without content
	Height     uint32      // of the block that made the coin
	Time       uint64      // of that block, in seconds since 1970; 0 when the source did not say
	By         Role        // who spent the coin before
}

// History returns every coin the store has had, oldest first: changes of owner and oracle spends, which repeat the
// root, included. Generations that are not deep enough to be read are not in it.
func (r *Resolver) History(ctx context.Context, store auth.StoreID) ([]Entry, error) {
	v, err := r.look(ctx, store, true)
	if err != nil {
		return nil, err
	}
	return append([]Entry(nil), v.line.entries[:v.line.deep(v.peak, r.opt.MinDepth)+1]...), nil
}

// Lineage returns the roots of History as [Roots] does. It makes a Resolver what package remote calls a Lineage.
func (r *Resolver) Lineage(ctx context.Context, store auth.StoreID) ([]merkle.Hash, error) {
	entries, err := r.History(ctx, store)
	if err != nil {
		return nil, err
	}
	return Roots(entries), nil
}

// Roots returns the roots of a history, oldest first, without the zero root and without repeats that follow one
// another. A root that comes back after another one stands there again. Spec: chain 6.3.
func Roots(history []Entry) []merkle.Hash {
	var roots []merkle.Hash
	for _, e := range history {
		if !e.Root.IsZero() && (len(roots) == 0 || roots[len(roots)-1] != e.Root) {
			roots = append(roots, e.Root)
		}
	}
	return roots
}

// look answers from what is held, or asks. With whole set the answer has the history from the first coin on.
func (r *Resolver) look(ctx context.Context, store auth.StoreID, whole bool) (*view, error) {
	h, done, err := r.hold(ctx, store)
	if err != nil {
		return nil, err
	}
	defer done()
	if v := h.last; v != nil && r.opt.TipAge > 0 && r.opt.Now().Sub(v.at).Abs() < r.opt.TipAge {
		if v.err != nil {
			return nil, v.err
		}
		if v.line.whole || !whole {
			return v, nil
		}
	}
	v, err := r.ask(ctx, store, h, whole)
	switch {
	case errors.Is(err, ErrStoreNotFound) || errors.Is(err, ErrNotMinted):
		h.last = &view{at: r.opt.Now(), err: err}
		return nil, err
	case err != nil:
		return nil, err
	}
	h.last = v
	return v, nil
}

// hold takes the turn of a store, with what the Memory has of it.
func (r *Resolver) hold(ctx context.Context, store auth.StoreID) (*held, func(), error) {
	h, ok := r.held.Get(store)
	if !ok {
		h = &held{turn: make(chan struct{}, 1)}
		h.turn <- struct{}{}
		if other, there, _ := r.held.PeekOrAdd(store, h); there {
			h = other
		}
	}
	select {
	case <-h.turn:
	case <-ctx.Done():
		return nil, nil, fmt.Errorf("wait for the chain's answer about store %v: %w", store, context.Cause(ctx))
	}
	done := func() { h.turn <- struct{}{} }
	if !h.loaded && r.opt.Memory != nil {
		line, seen, err := r.recall(ctx, store)
		if err != nil {
			done()
			return nil, nil, err
		}
		h.line, h.seen = line, seen
	}
	h.loaded = true
	return h, done, nil
}

// nameOf returns how a source prints.
func nameOf(s Source) string {
	if n, ok := s.(fmt.Stringer); ok {
		return n.String()
	}
	return fmt.Sprintf("a %T", s)
}

// trustOf returns how far a source's word goes.
func trustOf(s Source) Trust {
	if t, ok := s.(TrustSource); ok {
		return t.Trust()
	}
	return TrustSingle
}

// depth returns how deep a block is; the newest is 1.
func depth(peak Block, height uint32) uint32 {
	if height > peak.Height {
		return 0
	}
	return peak.Height - height + 1
}
