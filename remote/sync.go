package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// Clone fills an empty store from an origin and believes nothing that t does not vouch for: [Sync.Clone]
// with defaults.
func Clone(ctx context.Context, to Local, from Origin, t Trust) (*Report, error) {
	return (&Sync{Trust: t}).Clone(ctx, to, from)
}

// Pull brings a store up to its origin's head: [Sync.Pull] with defaults.
func Pull(ctx context.Context, to Local, from Origin, t Trust) (*Report, error) {
	return (&Sync{Trust: t}).Pull(ctx, to, from)
}

// A Sync says how to clone and pull where [Clone] and [Pull] do not fit. Its fields may not be changed
// while it is in use; it may be used concurrently for different stores.
type Sync struct {
	// Trust is why the origin is believed.
	Trust Trust
	// AllGenerations fetches every generation of the history that is not held, not only the newest. No
	// signature travels with older ones: they need an [Anchor] that is a [Lineage], or AllowUnsignedHistory.
	AllGenerations bool
	// MaxModule is the longest module that is taken, in bytes. Default [DefaultMaxModule].
	MaxModule int64
	// Attempts is how often a broken download is taken up again without getting on. Default 4.
	Attempts int
	// Progress, if set, hears of a module's bytes: (root, 0, total) first, then growing. total is 0 when it
	// is not known. A download that starts over reports smaller numbers again.
	Progress func(root merkle.Hash, done, total int64)
	// OnRetry, if set, is told why a download broke and how long it rests.
	OnRetry func(err error, wait time.Duration)
}

// maxMoves is how often a sync starts over because the origin's head moved under it.
const maxMoves = 3

// visit is one clone or pull on its way.
type visit struct {
	*Sync
	to    Local
	from  Origin
	store auth.StoreID

	head    auth.SignedRoot     // of the Local
	local   []module.Generation // its history
	pins    Pins
	kept    []auth.Tombstone // valid for this store: kept before, or seen on this visit
	known   auth.PublicKey
	want    merkle.Hash // the root that is prescribed; zero: none is
	lineage map[merkle.Hash]int
	report  Report
	written int // how many of its tombstones are written down
}

// Clone fills to, which must not have a generation yet ([fs.ErrExist]), with the origin's head, or with the
// root that the anchor names, and the lines of its history.
//
// Before a byte of the module is asked for: the anchor is asked; descriptor and history are well formed and
// agree; the root prescribed stands in the history; the head is signed; neither it nor the store is revoked;
// and Trust speaks for the key. Then [Local.Install] takes the module, and it becomes visible only when it
// is the store, the root and the length announced, its chunks give its leaves and its leaves the root, its
// coin is the store's, its key is the one that signed, and all of the above holds for that key.
// A refusal is a [*VerificationError] and leaves nothing visible.
//
// A Report comes with a nil error, and with errors that arose after the head had been installed.
func (s *Sync) Clone(ctx context.Context, to Local, from Origin) (*Report, error) {
	v, err := s.visit(ctx, to, from)
	if err != nil {
		return nil, err
	}
	if !v.head.Root.IsZero() {
		return nil, fmt.Errorf("remote: clone: store %s has generation %s already, pull instead: %w", v.store, v.head.Root, fs.ErrExist)
	}
	return v.run(ctx)
}

// Pull brings to up to the origin's head, or to the root that the anchor names. With nothing new it makes
// one request. The local head must stand in the origin's history, else the error matches [ErrRollback] (the
// origin offers what we have had before) or [ErrDiverged], unless an anchor confirms the root and its
// lineage contains the local head. The publisher key must be the one held for the store, which is all the
// trust that a pull needs; see [Trust] for a key that changed. The checks are those of Clone. A store
// without a generation is cloned.
func (s *Sync) Pull(ctx context.Context, to Local, from Origin) (*Report, error) {
	v, err := s.visit(ctx, to, from)
	if err != nil {
		return nil, err
	}
	return v.run(ctx)
}

// visit reads what the Local knows.
func (s *Sync) visit(ctx context.Context, to Local, from Origin) (*visit, error) {
	v := &visit{Sync: s, to: to, from: from, store: to.ID()}
	v.report.Store = v.store
	var err error
	if v.head, err = to.Head(ctx); err != nil {
		return nil, fmt.Errorf("remote: read local head: %w", err)
	}
	v.report.From, v.report.Root = v.head.Root, v.head.Root
	if v.local, err = to.Generations(ctx); err != nil {
		return nil, fmt.Errorf("remote: read local history: %w", err)
	}
	if p, ok := to.(Pinner); ok {
		if v.pins, err = p.Pins(ctx); err != nil {
			return nil, fmt.Errorf("remote: read pins: %w", err)
		}
	}
	if v.pins.Publisher.IsZero() {
		v.pins.Publisher = v.head.PublicKey
	}
	if r, ok := to.(Revoker); ok {
		if v.kept, err = r.Tombstones(ctx, v.store); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("remote: read local tombstones: %w", err)
		}
	}
	if k := s.Trust.Known; k != nil {
		if v.known, _, err = k.Known(ctx, v.store); err != nil {
			return nil, fmt.Errorf("remote: read known stores: %w", err)
		}
	}
	return v, nil
}

// run makes the visit, again when the head moves under it.
func (v *visit) run(ctx context.Context) (*Report, error) {
	if v.AllGenerations && !v.Trust.AllowUnsignedHistory {
		if _, ok := v.Trust.Anchor.(Lineage); !ok {
			return nil, &VerificationError{Check: CheckLineage, Err: fmt.Errorf("%w: older generations are not signed: "+
				"give an anchor with a lineage, or allow unsigned history", ErrUntrusted)}
		}
	}
	if v.pins.Publisher.IsZero() && v.Trust.zero() {
		return nil, &VerificationError{Check: CheckTrust, Err: fmt.Errorf("%w: give a publisher, a root or an anchor, "+
			"or believe the first use", ErrUntrusted)}
	}
	if err := v.revoked(v.head.Root); err != nil {
		return nil, err
	}
	var err error
	if v.want, err = v.Trust.wanted(ctx, v.store); err != nil {
		return nil, err
	}
	if v.lineage, err = v.Trust.lineage(ctx, v.store); err != nil {
		return nil, err
	}
	var moved *movedError
	var seen merkle.Hash
	for moves := 0; ; moves++ {
		d, err := v.from.Describe(ctx)
		if err != nil {
			return nil, fmt.Errorf("remote: describe store %s: %w", v.store, err)
		}
		if moves > 0 && d.Root == seen {
			return nil, fmt.Errorf("remote: the origin says that its head is %s and does not give it: %w", seen, moved.err)
		}
		seen, v.report.Checks = d.Root, nil
		err = v.once(ctx, d)
		if errors.As(err, &moved) {
			if moves < maxMoves && ctx.Err() == nil {
				continue
			}
			err = moved.err
		}
		if err != nil && len(v.report.Installed) == 0 {
			return nil, err
		}
		return &v.report, err
	}
}

// movedError is a module of the head that is no longer to be had.
type movedError struct{ err error }

func (e *movedError) Error() string { return e.err.Error() }
func (e *movedError) Unwrap() error { return e.err }

// once makes the visit with one snapshot of the origin.
func (v *visit) once(ctx context.Context, d *Descriptor) error {
	if !v.head.Root.IsZero() {
		if err := v.heed(ctx, d); err != nil {
			return err
		}
		// Nothing is new when the origin has no more than we do, or the anchor confirms no more.
		if v.want.IsZero() && d.Root == v.head.Root || !v.want.IsZero() && find(v.local, v.want) >= 0 {
			return v.upToDate(ctx, d)
		}
	}
	v.passed(CheckDescriptor)
	lines, err := v.history(ctx, &d)
	if err != nil {
		return err
	}
	t, err := v.target(d, lines)
	if err != nil {
		return err
	}
	if t.head {
		if err := v.foresee(ctx, d, t); err != nil {
			return err
		}
	}
	if err := v.fetch(ctx, t); err != nil {
		return err
	}
	if err := v.settle(ctx, t); err != nil {
		return err
	}
	return v.older(ctx)
}

// heed checks the descriptor's tombstones against what is held, under the key that is held, and keeps them.
func (v *visit) heed(ctx context.Context, d *Descriptor) error {
	if err := v.take(ctx, d.Tombstones, v.pins.Publisher); err != nil {
		return err
	}
	if err := v.keep(ctx); err != nil {
		return err
	}
	return v.revoked(v.head.Root)
}

func (v *visit) upToDate(ctx context.Context, d *Descriptor) error {
	v.report.UpToDate = true
	v.report.Publisher = v.pins.Publisher
	v.report.KeyProven = auth.StoreIDFromKey(v.pins.Publisher) == v.store
	v.report.Unanchored = v.want != v.head.Root
	if i := find(v.local, v.head.Root); i >= 0 {
		v.report.Generation = v.local[i].Number
		v.report.HistoryConfirmed = v.confirmed(v.local[:i+1])
	}
	if !v.want.IsZero() && d.Root != v.want {
		v.report.NewerHead = d.Root
	}
	return v.older(ctx)
}

// settle keeps what a successful installation has taught, and completes the report.
func (v *visit) settle(ctx context.Context, t *target) error {
	r := &v.report
	r.Root, r.Generation, r.Publisher = t.line().Root, t.line().Number, t.key
	r.Basis, r.KeyChanged = t.basis, t.changed
	r.KeyProven = auth.StoreIDFromKey(t.key) == v.store
	r.Unanchored = !t.anchored
	v.local = append(v.local, t.lines...)
	r.HistoryConfirmed = v.confirmed(v.local)
	if !t.head {
		r.NewerHead = t.origin
	}
	if err := v.keep(ctx); err != nil {
		return err
	}
	v.pins = Pins{Publisher: t.key, Root: t.line().Root, Generation: t.line().Number}
	if p, ok := v.to.(Pinner); ok {
		if err := p.Pin(ctx, v.pins); err != nil {
			return fmt.Errorf("remote: keep pins: %w", err)
		}
	}
	if k := v.Trust.Known; k != nil && v.known != t.key {
		if err := k.Remember(ctx, v.store, t.key); err != nil {
			return fmt.Errorf("remote: remember the store's key: %w", err)
		}
	}
	return nil
}

// confirmed reports whether the lineage contains every line.
func (v *visit) confirmed(lines []module.Generation) bool {
	return v.lineage != nil && !slices.ContainsFunc(lines, func(g module.Generation) bool {
		_, ok := v.lineage[g.Root]
		return !ok
	})
}

func (v *visit) passed(checks ...Check) {
	for _, c := range checks {
		if !slices.Contains(v.report.Checks, c) {
			v.report.Checks = append(v.report.Checks, c)
		}
	}
}

// find returns the place of root in lines, -1 when it is not there.
func find(lines []module.Generation, root merkle.Hash) int {
	return slices.IndexFunc(lines, func(g module.Generation) bool { return g.Root == root })
}
