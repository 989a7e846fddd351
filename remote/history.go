package remote

import (
	"context"
	"fmt"
	"strconv"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// maxReadings is the limit on reads of descriptor and history that disagree.
const maxReadings = 5

// history reads the origin's history and checks that it ends at the descriptor's head. A push
// between the two requests makes them differ, so history reads both again until they agree, and
// updates s.descriptor. Once the head has changed, lines after it are dropped: the history was read
// later. After maxReadings reads that disagree the origin fails CheckHistory.
func (v *syncRun) history(ctx context.Context, s *snapshot) error {
	for reading, moving := 1, false; ; reading++ {
		lines, err := s.from.Generations(ctx)
		if err != nil {
			return fmt.Errorf("remote: read history of store %s: %w", v.store, err)
		}
		if lines, err = checkHistory(lines); err != nil {
			return err
		}
		if at := find(lines, s.descriptor.Root); moving && at >= 0 {
			lines = lines[:at+1]
		}
		last := lines[len(lines)-1].Root
		if before := s.descriptor.Root; last != before {
			if s.descriptor, err = s.from.Describe(ctx); err != nil {
				return fmt.Errorf("remote: describe store %s: %w", v.store, err)
			}
			moving = s.descriptor.Root != before
		}
		if last == s.descriptor.Root {
			s.lines = lines
			s.passed(CheckHistory, fmt.Sprintf("%d lines, numbers from %d to %d, the head %s last",
				len(lines), lines[0].Number, lines[len(lines)-1].Number, last))
			return nil
		}
		if reading == maxReadings {
			return &VerificationError{Check: CheckHistory,
				Want: "the head " + s.descriptor.Root.String() + " at its end", Got: last.String()}
		}
	}
}

// lastSecond is the end of the year 9999 in Unix seconds. Later times cannot be encoded in JSON.
const lastSecond = 253402300799

// checkHistory checks the form of an origin's history. It returns the lines with adjacent lines of
// equal root merged into the later one. Numbers may repeat and leave gaps, as those of the
// reference implementation do, but must not decrease. Times are from 1970 to 9999. A root may
// occur more than once.
func checkHistory(lines []module.Generation) ([]module.Generation, error) {
	if len(lines) == 0 {
		return nil, &VerificationError{Check: CheckHistory, Want: "a line for the head",
			Got: "an empty history"}
	}
	out := make([]module.Generation, 0, len(lines))
	for i, g := range lines {
		switch {
		case g.Root.IsZero():
			return nil, &VerificationError{Check: CheckHistory, Want: "a root",
				Got: fmt.Sprintf("zeros in line %d", i)}
		case g.Time.Unix() < 0 || g.Time.Unix() > lastSecond:
			return nil, &VerificationError{Check: CheckHistory, Want: "a time from 1970 to 9999",
				Got: fmt.Sprintf("%d seconds in line %d", g.Time.Unix(), i)}
		case i > 0 && g.Number < lines[i-1].Number:
			return nil, &VerificationError{Check: CheckHistory,
				Want: fmt.Sprintf("a number of at least %d in line %d", lines[i-1].Number, i),
				Got:  strconv.FormatUint(g.Number, 10)}
		}
		if n := len(out); n > 0 && out[n-1].Root == g.Root {
			out[n-1] = g
			continue
		}
		out = append(out, g)
	}
	return out, nil
}

// A target is the generation that a sync installs as the new local head.
type target struct {
	lines    []module.Generation // to append to the local history; the last is the generation
	head     bool                // it is the origin's head, with signature and descriptor
	origin   merkle.Hash         // the origin's head
	anchored bool                // the anchor, or Trust.Root, names it
	// it does not descend from the local head, and Trust.AcceptHead names it
	diverged bool
	reverted bool               // the local history has its root, before the local head
	size     int64              // from the descriptor; 0: unknown
	signed   auth.SignedRoot    // zero signatures unless head
	shown    [][]auth.Tombstone // of the origins' descriptors, unchecked

	// What the checks found.
	key     auth.PublicKey
	basis   Basis
	changed bool
	checks  []PassedCheck
}

// unsigned reports whether no signature of the root is known. Older roots are sent without one, and
// some hosts have none for their head.
func (t *target) unsigned() bool { return t.signed.Tagged.IsZero() && t.signed.Untagged.IsZero() }

func (t *target) line() module.Generation { return t.lines[len(t.lines)-1] }

// selectTarget chooses the generation to install: v.required if set, else the origin's head. It
// checks the local head against the origin's history (remote/PROTOCOL.md 9.6). It returns nil when
// v.required is already in the local history and nothing shows that it became the head again.
func (v *syncRun) selectTarget(ctx context.Context, s *snapshot) (*target, error) {
	at := len(s.lines) - 1
	if !v.required.IsZero() {
		held, err := v.prescribedHeld(ctx, s)
		if held || err != nil {
			return nil, err
		}
		if at = find(s.lines, v.required); at < 0 {
			return nil, &VerificationError{Check: CheckAnchor, Want: v.required.String() + " in the history",
				Got: "a head at " + s.descriptor.Root.String() + ": the origin is behind"}
		}
		s.passed(CheckAnchor, "root "+v.required.String()+", prescribed, in the history")
	}
	t := &target{head: at == len(s.lines)-1, origin: s.descriptor.Root, anchored: !v.required.IsZero()}
	if t.head {
		t.size = s.descriptor.Size
	}
	if err := v.revoked(s.lines[at].Root); err != nil {
		return nil, err
	}
	follow, err := v.newLines(ctx, s, t, at)
	if err != nil {
		return nil, err
	}
	next, err := v.local.next(ctx)
	if err != nil {
		return nil, err
	}
	for i, g := range follow {
		g.Number = next + uint64(i)
		t.lines = append(t.lines, g)
	}
	t.signed = auth.SignedRoot{Store: v.store, Root: s.lines[at].Root}
	return t, nil
}

// newLines returns the lines after the local head, up to index at.
func (v *syncRun) newLines(ctx context.Context, s *snapshot, t *target,
	at int) ([]module.Generation, error) {
	lines, ours := s.lines, v.head.Root
	// The pinned root must be in the history even where the local store lacks it.
	if seen := v.pins.Root; v.pinsAhead && find(lines, seen) < 0 && !v.anchoredLineage(seen) &&
		!v.accepts(s, t, at) {
		return nil, v.ancestryError(ctx, s, seen)
	}
	if ours.IsZero() {
		return lines[:at+1], nil
	}
	place, root := find(lines, ours), lines[at].Root
	if place >= 0 && place < at {
		var err error
		if _, t.reverted, err = v.local.line(ctx, root); err != nil {
			return nil, err
		}
		if t.reverted && !v.mayRevert(t) {
			return nil, &VerificationError{Check: CheckRollback,
				Want: "a root that we have not had before " + ours.String(),
				Got:  root.String() + " again", Err: ErrRollback}
		}
	}
	switch {
	case place >= 0 && place < at:
		s.passed(CheckAncestry, "our head "+ours.String()+" in its history, before the new one")
		return lines[place+1 : at+1], nil
	case place > at:
		return nil, &VerificationError{Check: CheckRollback, Want: "a generation after " + ours.String(),
			Got: lines[at].Root.String() + ", which came before it", Err: ErrRollback}
	case place == at:
		return nil, &VerificationError{Check: CheckAncestry, Want: "a generation after " + ours.String(),
			Got: "the same", Err: ErrDiverged}
	}
	switch {
	case v.anchoredLineage(ours):
		return v.lineageLines(s, ours, at)
	case v.accepts(s, t, at):
		return v.unknownLines(ctx, t, lines[:at+1])
	}
	return nil, v.ancestryError(ctx, s, ours)
}

// lineageLines returns the lines up to index at whose roots follow ours in the anchor's lineage.
// It is for an origin whose history lacks the local head, ours.
func (v *syncRun) lineageLines(s *snapshot, ours merkle.Hash, at int) ([]module.Generation, error) {
	var out []module.Generation
	for _, g := range s.lines[:at+1] {
		if n, ok := v.lineage[g.Root]; ok && n > v.lineage[ours] {
			out = append(out, g)
		}
	}
	if len(out) == 0 || out[len(out)-1].Root != s.lines[at].Root {
		return nil, &VerificationError{Check: CheckLineage,
			Want: s.lines[at].Root.String() + " after " + ours.String(), Got: "it is not", Err: ErrDiverged}
	}
	s.passed(CheckLineage, "our head "+ours.String()+
		" and the new one, in the anchor's lineage in this order")
	return out, nil
}

// accepts reports whether the root at index at is Trust.AcceptHead, which may be installed although
// it does not descend from the local head.
func (v *syncRun) accepts(s *snapshot, t *target, at int) bool {
	t.diverged = s.lines[at].Root == v.Trust.AcceptHead
	return t.diverged
}

// mayRevert reports whether a root that the local history has before its head may become the head
// again. An old signature does not distinguish a publisher's revert from an origin's rollback.
func (v *syncRun) mayRevert(t *target) bool { return t.anchored || v.Trust.AcceptRevert }

// prescribedHeld reports whether v.required is in the local history, and neither the origin's
// history nor the anchor's lineage has it after the local head.
func (v *syncRun) prescribedHeld(ctx context.Context, s *snapshot) (bool, error) {
	if v.head.Root.IsZero() {
		return false, nil
	}
	if _, ok, err := v.local.line(ctx, v.required); err != nil || !ok {
		return false, err
	}
	if place := find(s.lines, v.head.Root); place >= 0 {
		return find(s.lines, v.required) <= place, nil
	}
	ours, ok := v.lineage[v.head.Root]
	return !ok || v.lineage[v.required] <= ours, nil
}

// unknownLines returns those of lines that the local history lacks. The last line must be one of
// them, unless mayRevert allows its root again.
func (v *syncRun) unknownLines(ctx context.Context, t *target,
	lines []module.Generation) ([]module.Generation, error) {
	ours, err := v.local.lines(ctx)
	if err != nil {
		return nil, err
	}
	have := make(map[merkle.Hash]struct{}, len(ours))
	for _, g := range ours {
		have[g.Root] = struct{}{}
	}
	var out []module.Generation
	for i, g := range lines {
		_, ok := have[g.Root]
		if ok && i == len(lines)-1 && v.mayRevert(t) {
			ok, t.reverted = false, true
		}
		if !ok {
			out = append(out, g)
		}
	}
	if last := lines[len(lines)-1].Root; len(out) == 0 || out[len(out)-1].Root != last {
		return nil, &VerificationError{Check: CheckRollback, Want: "a head that we have not had before",
			Got: last.String(), Err: ErrRollback}
	}
	return out, nil
}

// anchoredLineage reports whether v.required is set and the anchor's lineage contains ours.
func (v *syncRun) anchoredLineage(ours merkle.Hash) bool {
	_, ok := v.lineage[ours]
	return ok && !v.required.IsZero()
}

// ancestryError returns the error for an origin whose history lacks the root ours: a rollback if
// its head is in the local history or is older than the pinned root, else a divergence.
func (v *syncRun) ancestryError(ctx context.Context, s *snapshot, ours merkle.Hash) error {
	last := s.lines[len(s.lines)-1]
	_, had, err := v.local.line(ctx, last.Root)
	if err != nil {
		return err
	}
	e := &VerificationError{Check: CheckAncestry, Want: ours.String() + " in the history",
		Got: "a head at " + last.Root.String(), Err: ErrDiverged}
	if had || ours == v.pins.Root && v.pinsAhead && uint64(len(s.lines)-1) < v.pins.Generation {
		e.Check, e.Err = CheckRollback, ErrRollback
	}
	return e
}
