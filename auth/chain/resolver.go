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
	return append([]Entry(nil), v.line.entries[:v.line.read(v.peak, r.opt.MinDepth)+1]...), nil
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
// another. A root that comes back after another one stands there again. See auth/chain/LINEAGE.md 7.5.
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
