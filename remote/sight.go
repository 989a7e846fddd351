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

// A sight is what one origin shows of the store on one visit.
type sight struct {
	name    string
	from    Origin
	d       *Descriptor
	lines   []module.Generation // its history; nil where the descriptor shows nothing new
	target  *target             // what would be installed; nil where nothing is new
	checks  []Passed
	account Account
	err     error // why it is out
}

func (s *sight) passed(c Check, against string) { s.checks = append(s.checks, Passed{c, against}) }

// look asks every origin for its descriptor and, where that shows something new, for its history:
// all at once, and those that are much slower than another are not waited for.
func (v *visit) look(ctx context.Context, from Origin) ([]*sight, error) {
	nothing := !v.want.IsZero() && v.want == v.head.Root
	var err error
	if v.ahead, err = v.pinsAhead(ctx); err != nil {
		return nil, err
	}
	var sights []*sight
	several, ok := from.(*Origins)
	if v.several = several; !ok {
		s := &sight{name: originName(from), from: from}
		s.err = v.read(ctx, s, nothing)
		return []*sight{s}, nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		group sync.WaitGroup
		first sync.Once
		timer *time.Timer
	)
	for _, m := range several.mirrors {
		s := &sight{name: m.Name, from: m.Origin}
		sights = append(sights, s)
		group.Go(func() {
			if s.err = v.read(ctx, s, nothing); s.err != nil {
				if cause := context.Cause(ctx); errors.Is(cause, errSlow) {
					s.err = fmt.Errorf("remote: describe store %s: %w", v.store, cause)
				}
				return
			}
			first.Do(func() { timer = time.AfterFunc(several.opt.Patience, func() { cancel(errSlow) }) })
		})
	}
	group.Wait()
	if timer != nil {
		timer.Stop()
	}
	return sights, nil
}

// pinsAhead reports whether more has been seen of the store than is here, as after a backup was put
// back.
func (v *visit) pinsAhead(ctx context.Context) (bool, error) {
	if v.pins.Root.IsZero() || v.pins.Root == v.head.Root {
		return false, nil
	}
	_, ok, err := v.local.line(ctx, v.pins.Root)
	return !ok, err
}

// read asks one origin. held says that nothing can be new, whatever it shows.
func (v *visit) read(ctx context.Context, s *sight, held bool) (err error) {
	if s.d, err = s.from.Describe(ctx); err != nil {
		return fmt.Errorf("remote: describe store %s: %w", v.store, err)
	}
	s.passed(CheckDescriptor, "its form, head "+s.d.Root.String())
	if held || v.want.IsZero() && !v.head.Root.IsZero() && !v.ahead && s.d.Root == v.head.Root {
		s.passed(CheckRollback, "our head, "+v.head.Root.String())
		return nil
	}
	return v.history(ctx, s)
}

// judge decides whether what an origin shows would be taken.
func (v *visit) judge(ctx context.Context, s *sight, shown [][]auth.Tombstone) error {
	if s.lines == nil {
		return nil // nothing new
	}
	t, err := v.aim(ctx, s)
	if err != nil {
		return v.testify(ctx, s, err)
	}
	if t == nil {
		return nil
	}
	t.shown = shown
	s.target = t
	if t.head {
		return v.foresee(ctx, s)
	}
	return nil
}

// choose judges what has not been judged yet, and returns the origin with the newest head of those
// that are left.
func (v *visit) choose(ctx context.Context, sights []*sight) (*sight, error) {
	var shown [][]auth.Tombstone // apart, so that none hides those of another
	heads := []merkle.Hash{v.head.Root, v.want}
	for _, s := range sights {
		if s.d != nil {
			shown = append(shown, s.d.Tombstones)
			heads = append(heads, s.d.Root)
		}
	}
	if !v.head.Root.IsZero() {
		if err := v.heed(ctx, shown, heads); err != nil {
			return nil, err
		}
	}
	var left []*sight
	for _, s := range sights {
		if s.err == nil && s.target == nil {
			s.err = v.judge(ctx, s, shown)
		}
		if s.err == nil {
			left = append(left, s)
		}
	}
	switch {
	case len(left) == 0 && len(sights) == 1:
		return nil, sights[0].err
	case len(left) == 0:
		return nil, v.noneLeft(sights)
	}
	best, err := v.newest(ctx, left)
	if err == nil && best.target == nil { // nothing replaces the local head
		err = v.revoked(v.head.Root)
	}
	return best, err
}

// heed checks tombstones under the key that is held, keeps them, and refuses a revoked store.
func (v *visit) heed(ctx context.Context, shown [][]auth.Tombstone, heads []merkle.Hash) error {
	if err := v.take(ctx, shown, v.pins.Publisher, heads...); err != nil {
		return err
	}
	if err := v.keep(ctx); err != nil {
		return err
	}
	return v.revoked(merkle.Hash{})
}

// newest returns the one whose history contains the heads of all others. Two that contain neither
// are a fork.
func (v *visit) newest(ctx context.Context, left []*sight) (*sight, error) {
	if err := v.oneKey(left); err != nil {
		return nil, err
	}
	left = slices.DeleteFunc(left, func(s *sight) bool { return s.err != nil })
	best := left[0]
	for _, s := range left[1:] {
		switch {
		case s.target == nil:
		case best.target != nil && s.d.Root == best.d.Root:
			if best.target.unsigned() && !s.target.unsigned() {
				best = s
			}
		case best.target == nil:
			best = s
		case find(best.lines, s.d.Root) >= 0 && find(s.lines, best.d.Root) >= 0:
			// Each history has the head of the other: one went back to an older root, or is made to look so.
			if recurs(best.lines) != recurs(s.lines) && recurs(s.lines) == v.Trust.AcceptRevert {
				best = s
			}
		case find(best.lines, s.d.Root) >= 0:
		case find(s.lines, best.d.Root) >= 0:
			best = s
		case best.target.diverged:
		case s.target.diverged:
			best = s
		case !v.want.IsZero(): // the root to install is prescribed, and both have it
			if s.target.head && !best.target.head {
				best = s
			}
		default:
			return nil, v.forked(ctx, best, s)
		}
	}
	for _, s := range left {
		s.account.State = OriginUsed
		if s.target == nil && best.target != nil ||
			s.d.Root != best.d.Root && find(best.lines, s.d.Root) >= 0 {
			s.account.State = OriginBehind
		}
	}
	return best, nil
}

// oneKey refuses the origins whose key is believed for a weaker reason than another one's, and all
// where no reason is stronger: first use cannot choose between two keys.
func (v *visit) oneKey(left []*sight) error {
	var best *sight
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

// forked keeps the evidence that two origins show heads that do not go together, signed by one key.
func (v *visit) forked(ctx context.Context, a, b *sight) error {
	e := &Evidence{Kind: CheckFork, Store: v.store, Held: claim(a.name, a.target.signed, a.lines, a.d),
		Offered: claim(b.name, b.target.signed, b.lines, b.d)}
	e.Held.Common = newest(a.lines, b.lines)
	name, err := v.witness(ctx, e)
	a.account.Evidence, b.account.Evidence = name, name
	return errors.Join(&VerificationError{Check: CheckFork,
		Want: "one head of " + a.name + " and " + b.name,
		Got:  a.d.Root.String() + " and " + b.d.Root.String(), Err: ErrForked, Evidence: name}, err)
}

// noneLeft joins why none of several origins is believed.
func (v *visit) noneLeft(sights []*sight) error {
	var all []error
	refused := false
	for _, s := range sights {
		all = append(all, fmt.Errorf("%s: %w", s.name, s.err))
		refused = refused || wire.IsFault(s.err)
	}
	err := errors.Join(all...)
	if !refused {
		return fmt.Errorf("remote: none of %d origins can be reached: %w", len(sights), err)
	}
	return &VerificationError{Check: CheckSources, Want: "one origin that passes every check",
		Got: fmt.Sprintf("%d that do not", len(sights)), Err: err}
}

// account puts into the report what became of each origin.
func (v *visit) account(sights []*sight) {
	for _, s := range sights {
		a := &s.account
		a.Origin = s.name
		if s.d != nil {
			a.Head = s.d.Root
			if i := find(s.lines, s.d.Root); i >= 0 {
				a.Generation = s.lines[i].Number
			}
			a.Withheld = withheld(v.kept.valid, s.d.Tombstones)
		}
		var refused *VerificationError
		if a.Err = s.err; errors.As(s.err, &refused) {
			a.Check = refused.Check
		}
		switch {
		case errors.Is(s.err, errSlow):
			a.State = OriginSlow
		case errors.Is(s.err, ErrRollback) && len(sights) > 1: // a mirror that lags behind us is no liar
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
	if len(sights) == 1 && len(v.report.Installed) > 0 {
		v.report.Origins[0].Bytes = v.report.Bytes
	}
}

// withheld returns those of known that are not among shown.
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

// originName is how an origin is named in reports.
func originName(o Origin) string {
	if s, ok := o.(fmt.Stringer); ok {
		return s.String()
	}
	return "the origin"
}
