package chain

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dig-network/digstore/auth"
)

// An Authority decides whether a generation that somebody pushes to a server may be taken. It is what package remote's
// server asks. See auth/chain/LINEAGE.md 9.3.
type Authority interface {
	// Publish is asked about head, whose signature is known to hold; held is the publisher key that is held for the store,
	// zero when there is none. A nil error takes it: at once where settled is set, and else as pending, for it rests on
	// what may still vanish from the chain. [auth.ErrForbidden] refuses; with any other error it cannot tell.
	Publish(ctx context.Context, head auth.SignedRoot, held auth.PublicKey) (settled bool, err error)
}

// StoreKey is the [Authority] that requires the key that is held for the store, whatever the chain
// says. It is the default. If no key is held it accepts any; it does not decide about first pushes.
type StoreKey struct{}

// Publish implements [Authority].
func (StoreKey) Publish(_ context.Context, head auth.SignedRoot, held auth.PublicKey) (settled bool, err error) {
	if !held.IsZero() && head.PublicKey != held {
		return false, refuse(head, "it is signed by %v, and the store's key is %v", head.PublicKey, held)
	}
	return true, nil
}

// OnChainKey is the [Authority] that wants a key with write access on the chain; see [Resolver.CanWrite]. A key that gained
// it a moment ago is not settled.
type OnChainKey struct{ Resolver *Resolver }

// Publish implements [Authority].
func (a OnChainKey) Publish(ctx context.Context, head auth.SignedRoot, _ auth.PublicKey) (settled bool, err error) {
	role, err := a.Resolver.CanWrite(ctx, head.Store, head.PublicKey)
	switch {
	case role.MayWrite() && errors.Is(err, ErrShallow):
		return false, nil
	case err != nil:
		return false, verdict(head, err)
	case !role.MayWrite():
		return false, refuse(head, "key %v has no write access on the chain", head.PublicKey)
	}
	return true, nil
}

// TipRoot is the [Authority] that wants the root to be the store's newest one on the chain, whoever brings it: somebody
// who may write has written it there. One that is not settled there is not settled here.
type TipRoot struct{ Resolver *Resolver }

// ByRoot reports that it consents to no root but the newest on the chain: true.
func (TipRoot) ByRoot() bool { return true }

// Publish implements [Authority].
func (a TipRoot) Publish(ctx context.Context, head auth.SignedRoot, _ auth.PublicKey) (settled bool, err error) {
	t, err := a.Resolver.alive(ctx, head.Store)
	switch {
	case err != nil:
		return false, verdict(head, err)
	case !head.Root.IsZero() && t.Root() == head.Root:
		if t.Status == StatusAnchored {
			return true, nil
		}
		// Something else may have changed since: writers, the owner.
		_, s, err := a.Resolver.settled(ctx, head.Store)
		if err != nil {
			return false, verdict(head, err)
		}
		return s != nil && s.Root() == head.Root, nil
	case !head.Root.IsZero() && t.Pending != nil && t.Pending.Root() == head.Root:
		return false, nil
	}
	return false, refuse(head, "%w: %s says that the store's root is %v", ErrNotAnchored, t.Source, t.Root())
}

// refuse is an answer of no.
func refuse(head auth.SignedRoot, format string, args ...any) error {
	return fmt.Errorf("publish root %v of store %v: %w: %w", head.Root, head.Store, auth.ErrForbidden, fmt.Errorf(format, args...))
}

// verdict tells what the chain says of a store, which refuses, from trouble with the source, which settles nothing.
func verdict(head auth.SignedRoot, err error) error {
	for _, v := range []error{ErrStoreNotFound, ErrNotMinted, ErrNotDataStore, ErrMelted, ErrUpdaterChanged, ErrWritersUnknown, auth.ErrPublicKey} {
		if errors.Is(err, v) {
			return refuse(head, "%w", err)
		}
	}
	return fmt.Errorf("publish root %v of store %v: %w", head.Root, head.Store, err)
}

// All is the [Authority] that wants the consent of each of these.
func All(list ...Authority) Authority { return all(list) }

type all []Authority

// ByRoot reports whether one of them consents to the newest root only: all have to agree.
func (a all) ByRoot() bool {
	return slices.ContainsFunc(a, func(one Authority) bool {
		by, ok := one.(interface{ ByRoot() bool })
		return ok && by.ByRoot()
	})
}

func (a all) Publish(ctx context.Context, head auth.SignedRoot, held auth.PublicKey) (settled bool, err error) {
	settled = true
	for _, one := range a {
		s, err := one.Publish(ctx, head, held)
		if err != nil {
			return false, err
		}
		settled = settled && s
	}
	return settled, nil
}

// Any is the [Authority] that wants the consent of one of these, and asks them in turn until it is settled. Where none
// agrees the error wraps what each said; where one could not tell, it is no refusal.
func Any(list ...Authority) Authority { return anyOf(list) }

type anyOf []Authority

func (a anyOf) Publish(ctx context.Context, head auth.SignedRoot, held auth.PublicKey) (settled bool, err error) {
	var refused, failed []error
	consent := false
	for _, one := range a {
		switch settled, err := one.Publish(ctx, head, held); {
		case err == nil && settled:
			return true, nil
		case err == nil:
			consent = true
		case errors.Is(err, auth.ErrForbidden):
			refused = append(refused, err)
		default:
			failed = append(failed, err)
		}
	}
	switch {
	case consent:
		return false, nil
	case len(failed) > 0:
		return false, errors.Join(failed...)
	case len(refused) > 0:
		return false, errors.Join(refused...)
	}
	return false, refuse(head, "nobody is asked")
}
