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

// Options configure a [Resolver]. The zero value means the defaults, for mainnet.
type Options struct {
	// Network is the network that the source must be on, if it can tell. Default [Mainnet].
	Network string
	// MinDepth is the depth from which a generation is read; 1 is the newest block. Default 1; at
	// most SettledDepth.
	MinDepth uint32
	// SettledDepth is the depth from which a generation is settled. Default 32.
	SettledDepth uint32
	// TipAge is how long an answer is reused without a request. Default 15 s; negative: never.
	TipAge time.Duration
	// AllowCached lets Tip return the newest settled generation, with [StatusCached], while the
	// source is unavailable, for this time after its last answer. Default 0: never.
	AllowCached time.Duration
	// MaxSkew is how far the time of the source's newest block may be from Now. Default 15
	// minutes; negative: no limit.
	MaxSkew time.Duration
	// MaxHops is how many coins a lineage may have. Default 100,000.
	MaxHops int
	// Memory keeps the lineages across restarts, so that a source cannot drop a settled
	// generation. nil: they are kept in memory only.
	Memory Memory
	// Stores is how many stores are kept in memory. Default 256.
	Stores int
	// Now is the clock. nil: time.Now.
	Now func() time.Time
}

// A Resolver reads stores from the chain. It keeps the lineage of a store, and continues from
// there at the next request. It is safe for concurrent use; requests about one store run one
// after another.
//
// It is an Anchor and a Lineage of package remote.
type Resolver struct {
	source Source
	opt    Options
	held   *lru.Cache[auth.StoreID, *held]
	named  chan bool // capacity 1; the value is whether the network was checked
}

// held is what a Resolver keeps of one store.
type held struct {
	lock   chan struct{} // capacity 1; the goroutine that receives the value may use the fields
	loaded bool          // the Memory was read
	line   *lineage      // nil if nothing is known
	seen   Block         // the newest block with a time that was seen
	last   *view         // the last answer
}

// A view is the result of one read of a store.
type view struct {
	line *lineage // never changed
	peak Block
	at   time.Time
	err  error // not nil if the store does not exist
}

// NewResolver returns a Resolver that reads from source. It makes no request yet.
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
	r.held, _ = lru.New[auth.StoreID, *held](r.opt.Stores) // fails only for a size below 1
	r.named <- false
	return r
}

// An Entry is one coin of a store's history.
type Entry struct {
	Generation int // index of the coin, from 0; Roots counts differently
	CoinID     merkle.Hash
	Root       merkle.Hash // zero for a store without content
	Height     uint32      // of the block that made the coin
	Time       uint64      // of that block, in seconds since 1970; 0 if not known
	By         Role        // that spent the previous coin
}

// History returns every coin that the store has had, oldest first, including changes of owner
// and oracle spends, which repeat the root. It leaves out generations that are not deep enough.
func (r *Resolver) History(ctx context.Context, store auth.StoreID) ([]Entry, error) {
	v, err := r.view(ctx, store, true)
	if err != nil {
		return nil, err
	}
	return append([]Entry(nil), v.line.entries[:v.line.read(v.peak, r.opt.MinDepth)+1]...), nil
}

// Lineage returns the roots of History as [Roots] does. It implements remote.Lineage.
func (r *Resolver) Lineage(ctx context.Context, store auth.StoreID) ([]merkle.Hash, error) {
	entries, err := r.History(ctx, store)
	if err != nil {
		return nil, err
	}
	return Roots(entries), nil
}

// Roots returns the roots of a history, oldest first, without the zero root and without
// consecutive duplicates. A root that returns after another one is listed again. See
// auth/chain/LINEAGE.md 7.5.
func Roots(history []Entry) []merkle.Hash {
	var roots []merkle.Hash
	for _, e := range history {
		if !e.Root.IsZero() && (len(roots) == 0 || roots[len(roots)-1] != e.Root) {
			roots = append(roots, e.Root)
		}
	}
	return roots
}

// view returns the last answer if it is recent, or else reads the store. If whole is set, the
// answer has the history from the first coin on.
func (r *Resolver) view(ctx context.Context, store auth.StoreID, whole bool) (*view, error) {
	h, unlock, err := r.lockStore(ctx, store)
	if err != nil {
		return nil, err
	}
	defer unlock()
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

// lockStore locks a store and loads its lineage from the Memory. It fails when ctx ends. The caller
// calls unlock.
func (r *Resolver) lockStore(ctx context.Context, store auth.StoreID) (h *held, unlock func(),
	err error) {
	h, ok := r.held.Get(store)
	if !ok {
		h = &held{lock: make(chan struct{}, 1)}
		h.lock <- struct{}{}
		if other, there, _ := r.held.PeekOrAdd(store, h); there {
			h = other
		}
	}
	select {
	case <-h.lock:
	case <-ctx.Done():
		return nil, nil, fmt.Errorf("wait to read store %v from the chain: %w", store, context.Cause(ctx))
	}
	unlock = func() { h.lock <- struct{}{} }
	if !h.loaded && r.opt.Memory != nil {
		line, seen, err := r.recall(ctx, store)
		if err != nil {
			unlock()
			return nil, nil, err
		}
		h.line, h.seen = line, seen
	}
	h.loaded = true
	return h, unlock, nil
}

// nameOf returns the name of a source.
func nameOf(s Source) string {
	if n, ok := s.(fmt.Stringer); ok {
		return n.String()
	}
	return fmt.Sprintf("a %T", s)
}

// trustOf returns the Trust of a source.
func trustOf(s Source) Trust {
	if t, ok := s.(TrustSource); ok {
		return t.Trust()
	}
	return TrustSingle
}

// depth returns the depth of a block; that of the newest is 1.
func depth(peak Block, height uint32) uint32 {
	if height > peak.Height {
		return 0
	}
	return peak.Height - height + 1
}
