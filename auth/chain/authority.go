package chain

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dig-network/digstore/auth"
)

// An Authority decides whether a server may accept a pushed generation. See
// auth/chain/LINEAGE.md 9.3.
type Authority interface {
	// Publish decides about head. The caller has verified its signature. held is the publisher
	// key that is pinned for the store, or zero. A nil error accepts head: as the head if settled
	// is true, and otherwise as pending, because a reorganization may undo the decision.
	// [auth.ErrForbidden] refuses head. Any other error means that the Authority cannot decide.
	Publish(ctx context.Context, head auth.SignedRoot, held auth.PublicKey) (settled bool, err error)
	// ByRoot reports whether Publish accepts only the newest root on the chain. A server then
	// also accepts a root that is in the history already.
	ByRoot() bool
}

// StoreKey is the [Authority] that requires the key that is pinned for the store. It does not
// read the chain. If no key is pinned it accepts any key; it does not decide about first
// pushes.
type StoreKey struct{}

// ByRoot returns false.
func (StoreKey) ByRoot() bool { return false }

// Publish implements [Authority].
func (StoreKey) Publish(_ context.Context, head auth.SignedRoot,
	held auth.PublicKey) (settled bool, err error) {
	if !held.IsZero() && head.PublicKey != held {
		return false, refuse(head, "want a signature of key %v, found %v", held, head.PublicKey)
	}
	return true, nil
}

// OnChainKey is the [Authority] that requires a key with write access on the chain; see
// [Resolver.CanWrite]. A key that gained access in a recent block is not settled.
type OnChainKey struct{ Resolver *Resolver }

// ByRoot returns false.
func (OnChainKey) ByRoot() bool { return false }

// Publish implements [Authority].
func (a OnChainKey) Publish(ctx context.Context, head auth.SignedRoot,
	_ auth.PublicKey) (settled bool, err error) {
	role, err := a.Resolver.CanWrite(ctx, head.Store, head.PublicKey)
	switch {
	case role.MayWrite() && errors.Is(err, ErrShallow):
		return false, nil
	case err != nil:
		return false, publishError(head, err)
	case !role.MayWrite():
		return false, refuse(head, "key %v has no write access on the chain", head.PublicKey)
	}
	return true, nil
}

// TipRoot is the [Authority] that requires the root to be the store's newest on the chain. It
// accepts any signature, since only a writer can put a root on the chain. The result is settled
// if the root is settled on the chain.
type TipRoot struct{ Resolver *Resolver }

// ByRoot returns true: the authority accepts only the newest root on the chain.
func (TipRoot) ByRoot() bool { return true }

// Publish implements [Authority].
func (a TipRoot) Publish(ctx context.Context, head auth.SignedRoot,
	_ auth.PublicKey) (settled bool, err error) {
	t, err := a.Resolver.alive(ctx, head.Store)
	switch {
	case err != nil:
		return false, publishError(head, err)
	case !head.Root.IsZero() && t.Root() == head.Root:
		if t.Status == StatusAnchored {
			return true, nil
		}
		// A later coin may have changed only the writers or the owner.
		_, s, err := a.Resolver.settled(ctx, head.Store)
		if err != nil {
			return false, publishError(head, err)
		}
		return s != nil && s.Root() == head.Root, nil
	case !head.Root.IsZero() && t.Pending != nil && t.Pending.Root() == head.Root:
		return false, nil
	}
	return false, refuse(head, "%w: the root at %s is %v", ErrNotAnchored, t.Source, t.Root())
}

// refuse returns an error that wraps auth.ErrForbidden.
func refuse(head auth.SignedRoot, format string, args ...any) error {
	return fmt.Errorf("publish root %v of store %v: %w: %w", head.Root, head.Store,
		auth.ErrForbidden, fmt.Errorf(format, args...))
}

// publishError converts an error of the Resolver to one of Publish. An error about the store
// refuses head. An error of the source does not.
func publishError(head auth.SignedRoot, err error) error {
	for _, refusal := range []error{
		ErrStoreNotFound, ErrNotMinted, ErrNotDataStore, ErrMelted, ErrUpdaterChanged,
		ErrWritersUnknown, auth.ErrPublicKey,
	} {
		if errors.Is(err, refusal) {
			return refuse(head, "%w", err)
		}
	}
	return fmt.Errorf("publish root %v of store %v: %w", head.Root, head.Store, err)
}

// All returns an [Authority] that accepts what every one of list accepts.
func All(list ...Authority) Authority { return all(list) }

type all []Authority

// ByRoot reports whether any element of a accepts only the newest root.
func (a all) ByRoot() bool {
	return slices.ContainsFunc(a, Authority.ByRoot)
}

func (a all) Publish(ctx context.Context, head auth.SignedRoot,
	held auth.PublicKey) (settled bool, err error) {
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

// Any returns an [Authority] that accepts what one of list accepts. It asks them in order until
// a result is settled. If none accepts, the error wraps the errors of all; it is no refusal if
// one could not decide.
func Any(list ...Authority) Authority { return anyOf(list) }

type anyOf []Authority

// ByRoot returns false: another element may accept an older root.
func (anyOf) ByRoot() bool { return false }

func (a anyOf) Publish(ctx context.Context, head auth.SignedRoot,
	held auth.PublicKey) (settled bool, err error) {
	var refused, failed []error
	accepted := false
	for _, one := range a {
		settled, err := one.Publish(ctx, head, held)
		switch {
		case err == nil && settled:
			return true, nil
		case err == nil:
			accepted = true
		case errors.Is(err, auth.ErrForbidden):
			refused = append(refused, err)
		default:
			failed = append(failed, err)
		}
	}
	switch {
	case accepted:
		return false, nil
	case len(failed) > 0:
		return false, errors.Join(failed...)
	case len(refused) > 0:
		return false, errors.Join(refused...)
	}
	return false, refuse(head, "no authority is configured")
}
