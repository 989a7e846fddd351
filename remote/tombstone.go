package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

const (
	// maxTombstones is how many of one origin's tombstones are considered: as many as a server keeps
	// for a store.
	maxTombstones = 4096

	// maxFailed is how many of one origin's tombstones may fail under one key before its others are
	// ignored. A check takes about a millisecond. An honest origin serves tombstones that the
	// publisher has signed, and perhaps a few of an earlier key.
	maxFailed = 32
)

// A tombstoneCheck is a tombstone and the key to check it under.
type tombstoneCheck struct {
	tombstone auth.Tombstone
	key       auth.PublicKey
}

// A tombstoneSet holds the tombstones of one store that are known to be valid.
type tombstoneSet struct {
	store   auth.StoreID
	valid   []auth.Tombstone
	roots   map[merkle.Hash]bool // the roots of valid
	failed  map[tombstoneCheck]bool
	checked int // signatures so far
}

// newTombstoneSet returns a set of kept, which are valid tombstones of the store.
func newTombstoneSet(store auth.StoreID, kept []auth.Tombstone) *tombstoneSet {
	s := &tombstoneSet{store: store, roots: map[merkle.Hash]bool{}, failed: map[tombstoneCheck]bool{}}
	for _, t := range kept {
		s.insert(t)
	}
	return s
}

func (s *tombstoneSet) insert(t auth.Tombstone) {
	s.valid = append(s.valid, t)
	s.roots[t.Root] = true
}

// add adds those tombstones of one origin that key has signed for this store, and returns them.
// It ignores the others: an origin cannot revoke by itself (remote/PROTOCOL.md 7.3). It checks
// those of the whole store and of the roots in first before the rest, and stops after maxFailed
// failures. A tombstone that has failed is not checked again.
func (s *tombstoneSet) add(ctx context.Context, shown []auth.Tombstone, key auth.PublicKey,
	first ...merkle.Hash) (added []auth.Tombstone, err error) {
	failed := 0
	for _, t := range s.candidates(shown, first) {
		if failed == maxFailed {
			break
		}
		if err := ctx.Err(); err != nil {
			return added, fmt.Errorf("remote: check tombstones: %w", err)
		}
		check := tombstoneCheck{t, key}
		switch {
		case s.roots[t.Root]:
		case s.failed[check]:
			failed++
		case s.check(check):
			s.insert(t)
			added = append(added, t)
		default:
			failed++
		}
	}
	return added, nil
}

// check verifies the signature of c and records a failure.
func (s *tombstoneSet) check(c tombstoneCheck) bool {
	s.checked++
	ok := c.tombstone.Check(c.key) == nil
	if !ok {
		s.failed[c] = true
	}
	return ok
}

// candidates returns the distinct tombstones of this store to check, at most maxTombstones. Those
// of the whole store and of the roots in first precede the others.
func (s *tombstoneSet) candidates(shown []auth.Tombstone, first []merkle.Hash) []auth.Tombstone {
	seen := make(map[auth.Tombstone]bool, min(len(shown), maxTombstones))
	var out []auth.Tombstone
	for _, early := range []bool{true, false} {
		for _, t := range shown {
			if len(out) == maxTombstones {
				return out
			}
			isFirst := t.WholeStore() || slices.Contains(first, t.Root)
			if isFirst == early && t.Store == s.store && !s.roots[t.Root] && !seen[t] {
				seen[t] = true
				out = append(out, t)
			}
		}
	}
	return out
}

// addTombstones adds the tombstones of each origin that key has signed; see tombstoneSet.add.
// Unless key is the pinned key they are claims, which apply only under that key.
func (v *syncRun) addTombstones(ctx context.Context, shown [][]auth.Tombstone, key auth.PublicKey,
	first ...merkle.Hash) error {
	set := v.tombstones
	if key != v.pins.Publisher {
		set = v.claims[key]
		if set == nil {
			set = newTombstoneSet(v.store, nil)
			v.claims[key] = set
		}
	}
	for _, list := range shown {
		added, err := set.add(ctx, list, key, first...)
		if set == v.tombstones {
			v.report.Tombstones = append(v.report.Tombstones, added...)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// acceptClaims adds the claims under key to the tombstones of the store. key is the publisher's.
func (v *syncRun) acceptClaims(key auth.PublicKey) {
	set := v.claims[key]
	if set == nil {
		return
	}
	delete(v.claims, key)
	for _, t := range set.valid {
		if !v.tombstones.roots[t.Root] {
			v.tombstones.insert(t)
			v.report.Tombstones = append(v.report.Tombstones, t)
		}
	}
}

// revokedUnder is like revoked for a target signed by key, which may not be the publisher's. It
// also applies the claims under that key.
func (v *syncRun) revokedUnder(key auth.PublicKey, root merkle.Hash, passed passedFunc) error {
	if err := v.revoked(root); err != nil {
		return err
	}
	n := len(v.tombstones.valid)
	if set := v.claims[key]; set != nil {
		if err := set.revoked(root); err != nil {
			return err
		}
		n += len(set.valid)
	}
	passed(CheckTombstone, fmt.Sprintf("%d valid tombstones", n))
	return nil
}

// keepTombstones stores the new tombstones, so that no origin can withhold them later.
func (v *syncRun) keepTombstones(ctx context.Context) error {
	r, ok := v.to.(TrustStore)
	if !ok {
		return nil
	}
	for ; v.written < len(v.report.Tombstones); v.written++ {
		if err := r.Revoke(ctx, v.report.Tombstones[v.written]); err != nil {
			return fmt.Errorf("remote: keep tombstone: %w", err)
		}
	}
	return nil
}

// revoked returns an error if a valid tombstone revokes root or the whole store. The zero root asks
// only about the whole store.
func (v *syncRun) revoked(root merkle.Hash) error { return v.tombstones.revoked(root) }

func (s *tombstoneSet) revoked(root merkle.Hash) error {
	for _, t := range s.valid {
		if !t.Revokes(root) {
			continue
		}
		what := "generation " + root.String()
		if t.WholeStore() {
			what = "the whole store"
		}
		return &VerificationError{Check: CheckTombstone,
			Got: fmt.Sprintf("%s was revoked (%v)", what, t.Reason), Err: auth.ErrRevoked}
	}
	return nil
}

// localTombstones returns the valid tombstones of l; none if l is not a TrustStore.
func localTombstones(ctx context.Context, l Local) ([]auth.Tombstone, error) {
	r, ok := l.(TrustStore)
	if !ok {
		return nil, nil
	}
	kept, err := r.Tombstones(ctx, l.ID())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remote: read local tombstones: %w", err)
	}
	return kept, nil
}
