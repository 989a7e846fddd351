package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// Clone fills an empty store from an origin that t trusts: [Sync.Clone] with defaults.
func Clone(ctx context.Context, to Local, from Origin, t Trust) (*Report, error) {
	return (&Sync{Trust: t}).Clone(ctx, to, from)
}

// Pull brings a store up to its origin's head: [Sync.Pull] with defaults.
func Pull(ctx context.Context, to Local, from Origin, t Trust) (*Report, error) {
	return (&Sync{Trust: t}).Pull(ctx, to, from)
}

// A Sync clones and pulls with settings that [Clone] and [Pull] do not have. Its fields may not be
// changed while it is in use. It may be used concurrently for different stores.
type Sync struct {
	// Trust decides whether the origin is trusted.
	Trust Trust
	// AllGenerations fetches, after the newest generation, every older one that is not held: oldest
	// first, up to four concurrently. Older generations are sent without signatures, so they need an
	// [Anchor] that is a [Lineage], or AllowUnsignedHistory.
	AllGenerations bool
	// MaxModule limits a module, in bytes. Default [DefaultMaxModule].
	MaxModule int64
	// Attempts is the number of consecutive attempts of a download without progress. Default 4.
	Attempts int
	// Progress, if set, is called with the bytes of a module: (root, 0, total) first, then growing.
	// total is 0 if it is unknown. A download that starts over reports smaller numbers again.
	// Calls are not concurrent.
	Progress func(root merkle.Hash, done, total int64)
	// OnRetry, if set, is called with the error of a broken download and the time until the next
	// attempt.
	OnRetry func(err error, wait time.Duration)
	// Now is the clock for the age of the head and for evidence. nil: time.Now.
	Now func() time.Time
}

// maxMoves is how often a sync starts over because the origin's head changed during it.
const maxMoves = 3

// syncRun is the state of one clone, pull or preview.
type syncRun struct {
	*Sync
	to Local

	several *Origins // nil: a single origin
	store   auth.StoreID

	head       auth.SignedRoot                  // of the Local
	local      *localHistory                    // its history
	pins       module.Pins                      // from earlier syncs
	pinsAhead  bool                             // their root is not in the local history
	tombstones *tombstoneSet                    // valid ones: stored earlier, or seen in this sync
	claims     map[auth.PublicKey]*tombstoneSet // seen in this sync, by keys not pinned
	known      auth.PublicKey
	required   merkle.Hash // the root of the anchor or Trust.Root; zero: none
	lineage    map[merkle.Hash]int
	report     Report
	written    int // how many of report.Tombstones are stored

	Progress func(root merkle.Hash, done, total int64)
	OnRetry  func(err error, wait time.Duration)
}

// Clone fills a store with the origin's head, or the root that the anchor names, and its history.
// The error is [fs.ErrExist] when the store already has a generation. from may be [Origins].
//
// Before requesting the module, Clone queries the anchor and checks that descriptor and history are
// well formed and agree, that a root given by anchor or Trust is in the history, that the head is
// signed, that neither it nor the store is revoked, and that Trust accepts the key. [Local.Install]
// makes the module visible only if it has the announced store, root and length, its chunks hash to
// its leaves and its leaves to the root, its coin is the store's, and its key is the one that
// signed the head. A failed check is a [*VerificationError] and leaves nothing visible.
//
// Once an origin was asked, the Report is not nil even with an error. It lists what passed, which
// origins were refused, and whether the head was already installed.
func (s *Sync) Clone(ctx context.Context, to Local, from Origin) (*Report, error) {
	v, err := s.newRun(ctx, to)
	if err != nil {
		return nil, err
	}
	if !v.head.Root.IsZero() {
		return nil, fmt.Errorf("remote: clone: store %s has generation %s already, pull instead: %w",
			v.store, v.head.Root, fs.ErrExist)
	}
	return v.run(ctx, from)
}

// Pull updates a store to the origin's head, or to the root that the anchor names. The checks are
// those of Clone. With nothing new it makes one request, and reads no history if to is a
// [History]. It clones into an empty store.
//
// The local head must be in the origin's history, before a root that the local history lacks.
// Otherwise the error matches [ErrRollback] (the origin offers a generation seen before),
// [ErrForked] (the publisher signed both heads) or [ErrDiverged], and the [Evidence] is kept. The
// exceptions are an anchor that confirms the root and whose lineage contains the local head, and
// Trust.AcceptHead.
//
// The publisher key must be the pinned one; a pull needs no other trust. See [Trust] for a changed
// key. Pull replaces a revoked local head with its successor. If the origin has none, or the store
// is revoked, the error matches [auth.ErrRevoked].
func (s *Sync) Pull(ctx context.Context, to Local, from Origin) (*Report, error) {
	v, err := s.newRun(ctx, to)
	if err != nil {
		return nil, err
	}
	return v.run(ctx, from)
}

// newRun returns a syncRun with the state of the Local.
func (s *Sync) newRun(ctx context.Context, to Local) (*syncRun, error) {
	v := &syncRun{Sync: s, to: to, store: to.ID(), local: &localHistory{of: to}}
	v.serializeCallbacks()
	v.report.Store = v.store
	var err error
	if v.head, err = to.Head(ctx); err != nil {
		return nil, fmt.Errorf("remote: read local head: %w", err)
	}
	v.report.From, v.report.Root = v.head.Root, v.head.Root
	if p, ok := to.(TrustStore); ok {
		if v.pins, err = p.Pins(ctx); err != nil {
			return nil, fmt.Errorf("remote: read pins: %w", err)
		}
	}
	if v.pins.Publisher.IsZero() && !v.head.Root.IsZero() && v.head.Check() == nil {
		v.pins.Publisher = v.head.PublicKey // an unsigned head pins no key
	}
	kept, err := localTombstones(ctx, to)
	if err != nil {
		return nil, err
	}
	v.tombstones = newTombstoneSet(v.store, kept)
	v.claims = map[auth.PublicKey]*tombstoneSet{}
	if k := s.Trust.Known; k != nil {
		if v.known, _, err = k.Known(ctx, v.store); err != nil {
			return nil, fmt.Errorf("remote: read known stores: %w", err)
		}
	}
	return v, nil
}

// serializeCallbacks wraps the caller's callbacks so that their calls are not concurrent.
func (v *syncRun) serializeCallbacks() {
	var mu sync.Mutex
	if f := v.Sync.Progress; f != nil {
		v.Progress = func(root merkle.Hash, done, total int64) {
			mu.Lock()
			defer mu.Unlock()
			f(root, done, total)
		}
	}
	if f := v.Sync.OnRetry; f != nil {
		v.OnRetry = func(err error, wait time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			f(err, wait)
		}
	}
}

func (v *syncRun) now() time.Time {
	if v.Now != nil {
		return v.Now()
	}
	return time.Now()
}

// prepare makes the checks that need no origin, and queries the anchor.
func (v *syncRun) prepare(ctx context.Context) (err error) {
	if v.AllGenerations && !v.Trust.AllowUnsignedHistory {
		if _, ok := v.Trust.Anchor.(Lineage); !ok {
			return &VerificationError{Check: CheckLineage,
				Err: fmt.Errorf("%w: older generations are not signed: "+
					"give an anchor with a lineage, or allow unsigned history", ErrUntrusted)}
		}
	}
	if v.pins.Publisher.IsZero() && v.Trust.isZero() {
		return &VerificationError{Check: CheckTrust,
			Err: fmt.Errorf("%w: give a publisher, a root or an anchor, "+
				"or believe the first use", ErrUntrusted)}
	}
	if err := v.revoked(merkle.Hash{}); err != nil { // a revoked head may have a successor
		return err
	}
	if v.required, err = v.Trust.requiredRoot(ctx, v.store); err != nil {
		return err
	}
	v.lineage, err = v.Trust.lineage(ctx, v.store)
	return err
}

// run syncs, and starts over if the origin's head changes during it.
func (v *syncRun) run(ctx context.Context, from Origin) (*Report, error) {
	if err := v.prepare(ctx); err != nil {
		return nil, err
	}
	var moved *movedError
	var seen merkle.Hash
	for moves := 0; ; moves++ {
		v.report.Origins, v.report.Evidence, v.report.Checks = nil, nil, nil
		shown, err := v.attempt(ctx, from, seen, moved)
		if errors.As(err, &moved) {
			if seen = shown; moves < maxMoves && ctx.Err() == nil {
				continue
			}
			err = moved.err
		}
		return &v.report, err
	}
}

// movedError means that the origin no longer serves the module of the head that it announced.
type movedError struct{ err error }

func (e *movedError) Error() string { return e.err.Error() }
func (e *movedError) Unwrap() error { return e.err }

// attempt syncs with one snapshot of each origin, and returns the chosen head. seen is the chosen
// head of the last attempt, and moved its error.
func (v *syncRun) attempt(ctx context.Context, from Origin, seen merkle.Hash,
	moved *movedError) (merkle.Hash, error) {
	snapshots, err := v.readOrigins(ctx, from)
	defer v.reportOrigins(snapshots)
	if err != nil {
		return seen, err
	}
	for {
		best, err := v.selectOrigin(ctx, snapshots)
		if err != nil {
			return seen, err
		}
		if best.target == nil {
			return seen, v.upToDate(ctx, best, snapshots)
		}
		if moved != nil && best.descriptor.Root == seen {
			return seen, fmt.Errorf("remote: the origin does not serve its head %s: %w",
				seen, moved.err)
		}
		v.report.Checks = best.checks
		again, err := v.install(ctx, best, snapshots)
		if !again {
			return best.descriptor.Root, err
		}
	}
}

// install fetches and installs the target of best, then older generations. again says that all
// origins that serve the target were excluded and that others may be selected.
func (v *syncRun) install(ctx context.Context, best *snapshot, all []*snapshot) (again bool,
	err error) {
	d, done := v.downloader(best, all)
	defer done()
	if err := v.fetch(ctx, d, best.target); err != nil {
		return v.excludeSources(ctx, d, err), err
	}
	if err := v.finish(ctx, best); err != nil {
		return false, err
	}
	return false, v.older(ctx, d)
}

func (v *syncRun) upToDate(ctx context.Context, s *snapshot, all []*snapshot) error {
	v.report.Checks = s.checks
	v.report.UpToDate = true
	v.report.Publisher = v.pins.Publisher
	v.report.KeyProven = auth.StoreIDFromKey(v.pins.Publisher) == v.store
	v.report.Unanchored = v.required != v.head.Root
	if err := v.reportHistory(ctx, v.head.Root); err != nil {
		return err
	}
	if !v.required.IsZero() && s.descriptor.Root != v.required {
		v.report.NewerHead = s.descriptor.Root
	}
	if !v.AllGenerations {
		return nil
	}
	d, done := v.downloader(s, all)
	defer done()
	return v.older(ctx, d)
}

// reportHistory sets the members of the report for the line of root and the history before it.
func (v *syncRun) reportHistory(ctx context.Context, root merkle.Hash) error {
	g, ok, err := v.local.line(ctx, root)
	if err != nil {
		return err
	}
	if ok {
		v.report.Generation, v.report.HeadTime = g.Number, g.Time
		v.report.HeadAge = v.now().Sub(g.Time)
	}
	if v.lineage != nil { // it is as long as the history, so reading all lines costs no more
		lines, err := v.local.lines(ctx)
		if err != nil {
			return err
		}
		v.report.HistoryConfirmed = v.confirmed(lines[:find(lines, root)+1])
	}
	return nil
}

// finish stores pins, tombstones and the known key after an installation, and completes the report.
func (v *syncRun) finish(ctx context.Context, s *snapshot) error {
	t, r := s.target, &v.report
	r.Root, r.Publisher = t.line().Root, t.key
	r.Basis, r.KeyChanged, r.Diverged, r.Reverted = t.basis, t.changed, t.diverged, t.reverted
	r.KeyProven = auth.StoreIDFromKey(t.key) == v.store
	r.Unanchored, r.Unsigned = !t.anchored, t.unsigned()
	v.local.appended(t.lines)
	if err := v.reportHistory(ctx, r.Root); err != nil {
		return err
	}
	if !t.head {
		r.NewerHead = t.origin
	}
	if err := v.keepTombstones(ctx); err != nil {
		return err
	}
	key := v.pins.Publisher
	if v.keyConfirmed(t) {
		key = t.key
	}
	v.pins = module.Pins{Publisher: key, Root: t.line().Root, Generation: t.line().Number}
	if p, ok := v.to.(TrustStore); ok {
		if err := p.Pin(ctx, v.pins); err != nil {
			return fmt.Errorf("remote: keep pins: %w", err)
		}
	}
	if k := v.Trust.Known; k != nil && v.known != t.key && v.keyConfirmed(t) {
		if err := k.Remember(ctx, v.store, t.key); err != nil {
			return fmt.Errorf("remote: remember the store's key: %w", err)
		}
	}
	return nil
}

// confirmed reports whether the lineage contains every line.
func (v *syncRun) confirmed(lines []module.Generation) bool {
	for _, g := range lines {
		if _, ok := v.lineage[g.Root]; !ok {
			return false
		}
	}
	return v.lineage != nil
}
