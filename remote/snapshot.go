package remote

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// A snapshot is one origin's descriptor and history, read once.
type snapshot struct {
	name       string
	from       Origin
	descriptor *Descriptor
	lines      []module.Generation // nil where the descriptor has nothing new
	target     *target             // to install; nil where nothing is new
	checks     []PassedCheck
	report     OriginReport
	err        error // why the origin was excluded
}

func (s *snapshot) passed(c Check, against string) {
	s.checks = append(s.checks, PassedCheck{c, against})
}

// readOrigins reads the descriptor of every origin and, where that has something new, its history.
// It reads concurrently, and cancels the rest SlowAfter after the first origin succeeds.
func (v *syncRun) readOrigins(ctx context.Context, from Origin) ([]*snapshot, error) {
	nothing := !v.required.IsZero() && v.required == v.head.Root
	var err error
	if v.pinsAhead, err = v.findPins(ctx); err != nil {
		return nil, err
	}
	var snapshots []*snapshot
	several, ok := from.(*Origins)
	if v.several = several; !ok {
		s := &snapshot{name: originName(from), from: from}
		s.err = v.readOrigin(ctx, s, nothing)
		return []*snapshot{s}, nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		group sync.WaitGroup
		first sync.Once
		timer *time.Timer
	)
	for _, m := range several.mirrors {
		s := &snapshot{name: m.Name, from: m.Origin}
		snapshots = append(snapshots, s)
		group.Go(func() {
			if s.err = v.readOrigin(ctx, s, nothing); s.err != nil {
				if cause := context.Cause(ctx); errors.Is(cause, errSlow) {
					s.err = fmt.Errorf("remote: describe store %s: %w", v.store, cause)
				}
				return
			}
			first.Do(func() { timer = time.AfterFunc(several.opt.SlowAfter, func() { cancel(errSlow) }) })
		})
	}
	group.Wait()
	if timer != nil {
		timer.Stop()
	}
	return snapshots, nil
}

// findPins reports whether the local history lacks the pinned root, as after a restored backup.
func (v *syncRun) findPins(ctx context.Context) (bool, error) {
	if v.pins.Root.IsZero() || v.pins.Root == v.head.Root {
		return false, nil
	}
	_, ok, err := v.local.line(ctx, v.pins.Root)
	return !ok, err
}

// readOrigin reads one origin into s. held says that the required root is already the local head,
// so that the history is not needed.
func (v *syncRun) readOrigin(ctx context.Context, s *snapshot, held bool) (err error) {
	if s.descriptor, err = s.from.Describe(ctx); err != nil {
		return fmt.Errorf("remote: describe store %s: %w", v.store, err)
	}
	s.passed(CheckDescriptor, "its form, head "+s.descriptor.Root.String())
	if held || v.required.IsZero() && !v.head.Root.IsZero() && !v.pinsAhead &&
		s.descriptor.Root == v.head.Root {
		s.passed(CheckRollback, "our head, "+v.head.Root.String())
		return nil
	}
	return v.history(ctx, s)
}

// evaluate sets s.target, if there is anything new, and checks it. The error refuses the origin.
func (v *syncRun) evaluate(ctx context.Context, s *snapshot, shown [][]auth.Tombstone) error {
	if s.lines == nil {
		return nil // nothing new
	}
	t, err := v.selectTarget(ctx, s)
	if err != nil {
		return v.recordEvidence(ctx, s, err)
	}
	if t == nil {
		return nil
	}
	t.shown = shown
	s.target = t
	if t.head {
		return v.checkHead(ctx, s)
	}
	return nil
}

// selectOrigin evaluates the snapshots not yet evaluated, and returns the accepted one with the
// newest head.
func (v *syncRun) selectOrigin(ctx context.Context, snapshots []*snapshot) (*snapshot, error) {
	var shown [][]auth.Tombstone // one list per origin, so that none hides those of another
	heads := []merkle.Hash{v.head.Root, v.required}
	for _, s := range snapshots {
		if s.descriptor != nil {
			shown = append(shown, s.descriptor.Tombstones)
			heads = append(heads, s.descriptor.Root)
		}
	}
	if !v.head.Root.IsZero() {
		if err := v.applyTombstones(ctx, shown, heads); err != nil {
			return nil, err
		}
	}
	var left []*snapshot
	for _, s := range snapshots {
		if s.err == nil && s.target == nil {
			s.err = v.evaluate(ctx, s, shown)
		}
		if s.err == nil {
			left = append(left, s)
		}
	}
	switch {
	case len(left) == 0 && len(snapshots) == 1:
		return nil, snapshots[0].err
	case len(left) == 0:
		return nil, v.allExcluded(snapshots)
	}
	best, err := v.selectNewest(ctx, left)
	if err == nil && best.target == nil { // nothing replaces the local head
		err = v.revoked(v.head.Root)
	}
	return best, err
}

// applyTombstones checks tombstones under the pinned key and stores the valid ones. It returns an
// error if the whole store is revoked.
func (v *syncRun) applyTombstones(ctx context.Context, shown [][]auth.Tombstone,
	heads []merkle.Hash) error {
	if err := v.addTombstones(ctx, shown, v.pins.Publisher, heads...); err != nil {
		return err
	}
	if err := v.keepTombstones(ctx); err != nil {
		return err
	}
	return v.revoked(merkle.Hash{})
}

// selectNewest returns the snapshot whose history contains the heads of all others. Two histories
// of which neither contains the other's head are a fork.
func (v *syncRun) selectNewest(ctx context.Context, left []*snapshot) (*snapshot, error) {
	if err := v.checkOneKey(left); err != nil {
		return nil, err
	}
	left = slices.DeleteFunc(left, func(s *snapshot) bool { return s.err != nil })
	best := left[0]
	for _, s := range left[1:] {
		switch {
		case s.target == nil:
		case best.target != nil && s.descriptor.Root == best.descriptor.Root:
			if best.target.unsigned() && !s.target.unsigned() {
				best = s
			}
		case best.target == nil:
			best = s
		case find(best.lines, s.descriptor.Root) >= 0 && find(s.lines, best.descriptor.Root) >= 0:
			// Each history has the head of the other: one origin reverted to an older root, or claims so.
			if recurs(best.lines) != recurs(s.lines) && recurs(s.lines) == v.Trust.AcceptRevert {
				best = s
			}
		case find(best.lines, s.descriptor.Root) >= 0:
		case find(s.lines, best.descriptor.Root) >= 0:
			best = s
		case best.target.diverged:
		case s.target.diverged:
			best = s
		case !v.required.IsZero(): // v.required is set, and both histories have it
			if s.target.head && !best.target.head {
				best = s
			}
		default:
			return nil, v.forked(ctx, best, s)
		}
	}
	for _, s := range left {
		s.report.State = OriginUsed
		if s.target == nil && best.target != nil ||
			s.descriptor.Root != best.descriptor.Root && find(best.lines, s.descriptor.Root) >= 0 {
			s.report.State = OriginBehind
		}
	}
	return best, nil
}

// checkOneKey excludes the origins whose key has a weaker basis than another origin's key. It
// returns an error where two keys have the same basis: first use cannot choose between them.
func (v *syncRun) checkOneKey(left []*snapshot) error {
	var best *snapshot
	for _, s := range left {
		if s.target == nil || s.target.unsigned() {
			continue
		}
		if best == nil || best.target.basis == ByFirstUse && s.target.basis != ByFirstUse {
			best = s
		}
	}
	for _, s := range left {
		if best == nil || s.target == nil || s.target.unsigned() || s.target.key == best.target.key {
			continue
		}
		s.err = &VerificationError{Check: CheckPublisher,
			Want: best.target.key.String() + ", as at " + best.name,
			Got:  s.target.key.String(), Err: ErrKeyChanged}
		if s.target.basis == best.target.basis {
			return fmt.Errorf(
				"remote: %s and %s show two publishers, and nothing says which one is the store's: name "+
					"it: %w: %w",
				best.name, s.name, ErrUntrusted, s.err)
		}
	}
	return nil
}

// forked stores the evidence that one key signed the conflicting heads of two origins, and returns
// the error.
func (v *syncRun) forked(ctx context.Context, a, b *snapshot) error {
	e := &Evidence{Kind: CheckFork, Store: v.store, Held: newClaim(a.name, a.target.signed, a.lines,
		a.descriptor),
		Offered: newClaim(b.name, b.target.signed, b.lines, b.descriptor)}
	e.Held.Common = newest(a.lines, b.lines)
	name, err := v.keepEvidence(ctx, e)
	a.report.Evidence, b.report.Evidence = name, name
	return errors.Join(&VerificationError{Check: CheckFork,
		Want: "one head of " + a.name + " and " + b.name,
		Got:  a.descriptor.Root.String() + " and " + b.descriptor.Root.String(), Err: ErrForked,
		Evidence: name}, err)
}

// allExcluded returns the error for several origins that were all excluded.
func (v *syncRun) allExcluded(snapshots []*snapshot) error {
	var all []error
	refused := false
	for _, s := range snapshots {
		all = append(all, fmt.Errorf("%s: %w", s.name, s.err))
		refused = refused || wire.IsFault(s.err)
	}
	err := errors.Join(all...)
	if !refused {
		return fmt.Errorf("remote: none of %d origins can be reached: %w", len(snapshots), err)
	}
	return &VerificationError{Check: CheckSources, Want: "one origin that passes every check",
		Got: fmt.Sprintf("%d that do not", len(snapshots)), Err: err}
}

// reportOrigins adds the result of each origin to the report.
func (v *syncRun) reportOrigins(snapshots []*snapshot) {
	for _, s := range snapshots {
		a := &s.report
		a.Origin = s.name
		if s.descriptor != nil {
			a.Head = s.descriptor.Root
			if i := find(s.lines, s.descriptor.Root); i >= 0 {
				a.Generation = s.lines[i].Number
			}
			a.Withheld = withheld(v.tombstones.valid, s.descriptor.Tombstones)
		}
		var refused *VerificationError
		if a.Err = s.err; errors.As(s.err, &refused) {
			a.Check = refused.Check
		}
		switch {
		case errors.Is(s.err, errSlow):
			a.State = OriginSlow
		// a mirror may lag behind the local store
		case errors.Is(s.err, ErrRollback) && len(snapshots) > 1:
			a.State = OriginBehind
		case wire.IsFault(s.err):
			a.State = OriginRefused
		case s.err != nil:
			a.State = OriginUnreachable
		case a.State == "":
			a.State = OriginUsed
		}
		v.report.Origins = append(v.report.Origins, *a)
	}
	if len(snapshots) == 1 && len(v.report.Installed) > 0 {
		v.report.Origins[0].Bytes = v.report.Bytes
	}
}

// withheld returns the tombstones of known whose store and root shown lacks.
func withheld(known, shown []auth.Tombstone) (out []auth.Tombstone) {
	for _, k := range known {
		if !slices.ContainsFunc(shown, func(t auth.Tombstone) bool {
			return t.Store == k.Store && t.Root == k.Root
		}) {
			out = append(out, k)
		}
	}
	return out
}

// originName returns the name of an origin for reports.
func originName(o Origin) string {
	if s, ok := o.(fmt.Stringer); ok {
		return s.String()
	}
	return "the origin"
}
