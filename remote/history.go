package remote

import (
	"context"
	"fmt"
	"strconv"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// maxReadings is how often descriptor and list are read until they agree.
const maxReadings = 5

// history reads the origin's list and holds it against the descriptor. When the two were read on either
// side of a push, descriptor and list are read in turn until the last two readings agree; d is then the new
// one. A busy publisher is no liar, but whoever never agrees is.
func (v *visit) history(ctx context.Context, d **Descriptor) ([]module.Generation, error) {
	for reading := 1; ; reading++ {
		lines, err := v.from.Generations(ctx)
		if err != nil {
			return nil, fmt.Errorf("remote: read history of store %s: %w", v.store, err)
		}
		if err := checkHistory(lines); err != nil {
			return nil, err
		}
		last := lines[len(lines)-1].Root
		if last != (*d).Root {
			if *d, err = v.from.Describe(ctx); err != nil {
				return nil, fmt.Errorf("remote: describe store %s: %w", v.store, err)
			}
		}
		if last == (*d).Root {
			v.passed(CheckHistory)
			return lines, nil
		}
		if reading == maxReadings {
			return nil, &VerificationError{Check: CheckHistory, Want: "the head " + (*d).Root.String() + " at its end", Got: last.String()}
		}
	}
}

// checkHistory holds a list to decision 31: from 0 by 1, no root twice, none zero, not empty.
func checkHistory(lines []module.Generation) error {
	if len(lines) == 0 {
		return &VerificationError{Check: CheckHistory, Want: "a line for the head", Got: "an empty history"}
	}
	seen := make(map[merkle.Hash]struct{}, len(lines))
	for i, g := range lines {
		if g.Number != uint64(i) {
			return &VerificationError{Check: CheckHistory, Want: "generation " + strconv.Itoa(i), Got: strconv.FormatUint(g.Number, 10)}
		}
		if _, twice := seen[g.Root]; twice || g.Root.IsZero() {
			return &VerificationError{Check: CheckHistory, Got: fmt.Sprintf("generation %d has root %s, which is zero or stands there twice", i, g.Root)}
		}
		seen[g.Root] = struct{}{}
	}
	return nil
}

// A target is the generation that a visit installs as the new local head.
type target struct {
	lines    []module.Generation // that follow the local history; the last is the generation itself
	head     bool                // it is the origin's head: signed, and described
	origin   merkle.Hash         // the origin's head
	anchored bool                // the anchor, or the root given, names it
	size     int64               // as described; 0: not known
	signed   auth.SignedRoot     // zero signatures unless head
	stones   []auth.Tombstone    // of the descriptor, unchecked

	// What the check of its module found.
	key     auth.PublicKey
	basis   Basis
	changed bool
}

func (t *target) line() module.Generation { return t.lines[len(t.lines)-1] }

// target chooses what to install: the root that is prescribed (decision 32), else the head; and holds the
// local head against the origin's history (remote-protocol 7.2.3).
func (v *visit) target(d *Descriptor, lines []module.Generation) (*target, error) {
	at := len(lines) - 1
	if !v.want.IsZero() {
		if at = find(lines, v.want); at < 0 {
			return nil, &VerificationError{Check: CheckAnchor, Want: v.want.String() + " in the history",
				Got: "a head at " + d.Root.String() + ": the origin is behind"}
		}
		v.passed(CheckAnchor)
	}
	t := &target{head: at == len(lines)-1, origin: d.Root, anchored: !v.want.IsZero(), stones: d.Tombstones}
	if t.head {
		t.size = d.Size
	}
	if err := v.revoked(lines[at].Root); err != nil {
		return nil, err
	}
	follow, err := v.follow(lines, at)
	if err != nil {
		return nil, err
	}
	next := uint64(len(v.local))
	for i, g := range follow {
		g.Number = next + uint64(i)
		t.lines = append(t.lines, g)
	}
	t.signed = auth.SignedRoot{Store: v.store, Root: lines[at].Root}
	return t, nil
}

// follow returns the lines up to place at that come after what is held.
func (v *visit) follow(lines []module.Generation, at int) ([]module.Generation, error) {
	ours, number := v.head.Root, uint64(0)
	if ours.IsZero() {
		// Nothing is held, but something may have been seen.
		if ours, number = v.pins.Root, v.pins.Generation; ours.IsZero() || find(lines, ours) >= 0 {
			return lines[:at+1], nil
		}
		if v.anchoredLineage(ours) {
			return lines[:at+1], nil
		}
		return nil, v.behind(lines, ours, number)
	}
	place := find(lines, ours)
	switch {
	case place >= 0 && place < at:
		v.passed(CheckAncestry)
		return lines[place+1 : at+1], nil
	case place > at:
		return nil, &VerificationError{Check: CheckRollback, Want: "a generation after " + ours.String(),
			Got: lines[at].Root.String() + ", which came before it", Err: ErrRollback}
	case place == at:
		return nil, &VerificationError{Check: CheckAncestry, Want: "a generation after " + ours.String(), Got: "the same", Err: ErrDiverged}
	}
	if !v.anchoredLineage(ours) {
		number = uint64(len(v.local) - 1)
		return nil, v.behind(lines, ours, number)
	}
	// The origin's list does not know our head, the chain does: what the chain has after it is taken.
	var out []module.Generation
	for _, g := range lines[:at+1] {
		if n, ok := v.lineage[g.Root]; ok && n > v.lineage[ours] {
			out = append(out, g)
		}
	}
	if len(out) == 0 || out[len(out)-1].Root != lines[at].Root {
		return nil, &VerificationError{Check: CheckLineage, Want: lines[at].Root.String() + " after " + ours.String(), Got: "it is not", Err: ErrDiverged}
	}
	v.passed(CheckLineage)
	return out, nil
}

// anchoredLineage reports whether the anchor prescribes the root and its lineage knows ours.
func (v *visit) anchoredLineage(ours merkle.Hash) bool {
	_, ok := v.lineage[ours]
	return ok && !v.want.IsZero()
}

// behind names what is wrong with an origin that does not know our root: it went back to a generation that
// we have had, or it tells another story.
func (v *visit) behind(lines []module.Generation, ours merkle.Hash, number uint64) error {
	last := lines[len(lines)-1]
	e := &VerificationError{Check: CheckAncestry, Want: ours.String() + " in the history", Got: "a head at " + last.Root.String(), Err: ErrDiverged}
	if find(v.local, last.Root) >= 0 || len(v.local) == 0 && last.Number < number {
		e.Check, e.Err = CheckRollback, ErrRollback
	}
	return e
}
