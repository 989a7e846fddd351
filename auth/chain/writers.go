package chain

import (
	"context"
	"fmt"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// CanWrite returns which role a key has in the store's newest settled generation, RoleNone when none. A key stands on
// the chain as it is or as the synthetic key of a wallet's; see [StandardPuzzleHash].
//
// Only settled generations count, for what is not settled may vanish: a writer who was removed keeps the
// role until that is settled. A key that has a role only in a newer generation is that role and [ErrShallow]. Where
// the chain does not show who may write, the answer is [ErrWritersUnknown]; it says why. A destroyed store is a
// [*MeltedError]; other errors are those of Tip. See auth/chain/LINEAGE.md 9.2.
func (r *Resolver) CanWrite(ctx context.Context, store auth.StoreID, key auth.PublicKey) (Role, error) {
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
	return role, fmt.Errorf("key %v is %v of store %v since block %d: %w: it is %d deep, and %d are wanted; wait about %d minutes",
		key, role, store, e.Height, ErrShallow, depth(v.peak, e.Height), r.opt.SettledDepth,
		1+int(blockTime.Minutes()*float64(r.opt.SettledDepth-depth(v.peak, e.Height))))
}

// settled returns what the chain says, and the newest settled state in it, nil when there is none.
func (r *Resolver) settled(ctx context.Context, store auth.StoreID) (*view, *State, error) {
	v, err := r.look(ctx, store, false)
	if err == nil && !v.line.whole && v.line.settled == 0 {
		v, err = r.look(ctx, store, true)
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
		return RoleNone, fmt.Errorf("store %v: %w: its owner was changed without saying to whom; the next spend will show it", s.Store, ErrWritersUnknown)
	case !s.DelegatesKnown:
		return RoleNone, fmt.Errorf("store %v: %w: its delegates were changed without saying who they are; the owner can say it with the next change", s.Store, ErrWritersUnknown)
	}
	return RoleNone, nil
}

// A RootMode says which of a store's roots will do.
type RootMode uint8

const (
	TipOnly       RootMode = iota // the newest one
	AnyGeneration                 // any that the store has had
)

// VerifyRoot checks that a root is the store's newest, or one that it has had. One that is not is [ErrNotAnchored];
// other errors are those of CurrentRoot.
func (r *Resolver) VerifyRoot(ctx context.Context, store auth.StoreID, root merkle.Hash, mode RootMode) error {
	if mode == TipOnly {
		found, err := r.CurrentRoot(ctx, store)
		if err == nil && (found != root || root.IsZero()) {
			err = fmt.Errorf("store %v: %w: %s says its root is %v, not %v", store, ErrNotAnchored, nameOf(r.source), found, root)
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
	return fmt.Errorf("store %v: %w: %v is none of the %d roots that %s knows", store, ErrNotAnchored, root, len(roots), nameOf(r.source))
}
