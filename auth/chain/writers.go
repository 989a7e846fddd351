package chain

import (
	"context"
	"fmt"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// CanWrite returns the role of a key in the store's newest settled generation, or RoleNone. It
// looks for the key itself and for the synthetic key of a wallet's key; see [StandardPuzzleHash].
//
// Only settled generations count, because others may vanish: a removed writer keeps the role
// until the removal is settled. For a key with a role in a newer generation only, CanWrite
// returns that role and [ErrShallow]. If the chain does not show the writers, the error is
// [ErrWritersUnknown]. A destroyed store is a [*MeltedError]; other errors are those of Tip.
// See auth/chain/LINEAGE.md 9.2.
func (r *Resolver) CanWrite(ctx context.Context, store auth.StoreID, key auth.PublicKey) (Role,
	error) {
	puzzles, err := puzzlesOf(key)
	if err != nil {
		return RoleNone, err
	}
	v, settled, err := r.settled(ctx, store)
	if err != nil {
		return RoleNone, err
	}
	if m := v.line.melted; m != nil {
		return RoleNone, m
	}
	newest := v.line.tip()
	if settled != nil {
		role, err := settled.roleOf(puzzles)
		if role != RoleNone || settled == newest {
			return role, err
		}
	}
	role, err := newest.roleOf(puzzles)
	if role == RoleNone {
		if err == nil && settled != nil {
			_, err = settled.roleOf(puzzles)
		}
		return RoleNone, err
	}
	e := v.line.entries[len(v.line.entries)-1]
	found := depth(v.peak, e.Height)
	minutes := 1 + int(blockTime.Minutes()*float64(r.opt.SettledDepth-found))
	return role,
		fmt.Errorf("key %v is %v of store %v since block %d: %w: want depth %d, found %d; settled in "+
			"about %d minutes",
			key, role, store, e.Height, ErrShallow, r.opt.SettledDepth, found, minutes)
}

// settled reads a store and returns its newest settled state, nil if there is none.
func (r *Resolver) settled(ctx context.Context, store auth.StoreID) (*view, *State, error) {
	v, err := r.view(ctx, store, false)
	if err == nil && !v.line.whole && v.line.settled == 0 {
		v, err = r.view(ctx, store, true)
	}
	if err != nil {
		return nil, nil, err
	}
	return v, v.line.state(v.line.settled - 1), nil
}

// roleOf returns the role of the puzzles of one key.
func (s *State) roleOf(puzzles [2]merkle.Hash) (Role, error) {
	is := func(h merkle.Hash) bool { return h == puzzles[0] || h == puzzles[1] }
	if s.OwnerKnown && is(s.Owner) || is(s.Inner) {
		return RoleOwner, nil
	}
	for _, d := range s.Delegates {
		if d.Role.MayWrite() && is(d.Puzzle) {
			return d.Role, nil
		}
	}
	switch {
	case !s.OwnerKnown:
		return RoleNone,
			fmt.Errorf("store %v: %w: the last spend does not name the new owner; the next spend shows it",
				s.Store, ErrWritersUnknown)
	case !s.DelegatesKnown:
		return RoleNone, fmt.Errorf("store %v: %w: the last spend does not name the delegates", s.Store,
			ErrWritersUnknown)
	}
	return RoleNone, nil
}

// A RootMode selects which of a store's roots VerifyRoot accepts.
type RootMode uint8

const (
	TipOnly       RootMode = iota // the newest root
	AnyGeneration                 // any root that the store has had
)

// VerifyRoot checks that a root is the store's newest, or any root that it has had. Otherwise
// the error is [ErrNotAnchored]; other errors are those of CurrentRoot.
func (r *Resolver) VerifyRoot(ctx context.Context, store auth.StoreID, root merkle.Hash,
	mode RootMode) error {
	if mode == TipOnly {
		found, err := r.CurrentRoot(ctx, store)
		if err == nil && (found != root || root.IsZero()) {
			err = fmt.Errorf("store %v: %w: want root %v, found %v at %s",
				store, ErrNotAnchored, root, found, nameOf(r.source))
		}
		return err
	}
	roots, err := r.Lineage(ctx, store)
	if err != nil {
		return err
	}
	for _, found := range roots {
		if found == root {
			return nil
		}
	}
	return fmt.Errorf("store %v: %w: root %v is not one of the %d roots at %s",
		store, ErrNotAnchored, root, len(roots), nameOf(r.source))
}
