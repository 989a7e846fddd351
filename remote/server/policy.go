package server

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// A FirstPush is a push to a store that is not here yet, or is here without a key.
type FirstPush struct {
	Store     auth.StoreID
	Root      merkle.Hash
	Publisher auth.PublicKey // as declared beforehand; zero when only the module will say
	Requester                // zero for [Server.Receive]
}

// A Policy decides about first pushes. Admit may be called concurrently and more than once for one
// push: before the body, and once more with the module's own key when that was not declared.
//
// See remote/PROTOCOL.md 6.9.
type Policy interface {
	// Admit returns the key with which the store has to be signed; the zero key means whichever the
	// push brings, which is held from then on. [fs.ErrNotExist] refuses as unknown (404),
	// [auth.ErrForbidden] as not allowed (403).
	Admit(ctx context.Context, p FirstPush) (auth.PublicKey, error)
}

// RejectUnknown is the default [Policy]: stores that are not here stay unknown.
type RejectUnknown struct{}

// Admit refuses with [fs.ErrNotExist].
func (RejectUnknown) Admit(context.Context, FirstPush) (auth.PublicKey, error) {
	return auth.PublicKey{}, fs.ErrNotExist
}

// AllowList is a [Policy] that takes the stores it lists, each under its key. Under the zero key
// the first key that comes is held.
type AllowList map[auth.StoreID]auth.PublicKey

// Admit returns the key listed for the store, or [fs.ErrNotExist].
func (l AllowList) Admit(_ context.Context, p FirstPush) (auth.PublicKey, error) {
	key, ok := l[p.Store]
	if !ok {
		return auth.PublicKey{}, fs.ErrNotExist
	}
	return key, nil
}

// TrustOnFirstUse is a [Policy] that takes every store under the first key that comes. Anybody can
// then claim an id that is not here yet, so it is for networks where that does no harm, or with an
// Anchor.
type TrustOnFirstUse struct {
	// Anchor, when set, has to name the pushed root as the store's current one.
	Anchor interface {
		CurrentRoot(ctx context.Context, s auth.StoreID) (merkle.Hash, error)
	}
}

// Admit takes the store, or answers [auth.ErrForbidden] when the Anchor names another root, and the
// Anchor's error when it cannot be asked.
func (t TrustOnFirstUse) Admit(ctx context.Context, p FirstPush) (auth.PublicKey, error) {
	if t.Anchor == nil {
		return auth.PublicKey{}, nil
	}
	root, err := t.Anchor.CurrentRoot(ctx, p.Store)
	if err != nil {
		return auth.PublicKey{}, fmt.Errorf("ask the anchor about a first push of store %s: %w", p.Store,
			err)
	}
	if root != p.Root {
		return auth.PublicKey{},
			fmt.Errorf("first push of store %s: the anchor names root %s, not %s: %w",
				p.Store, root, p.Root, auth.ErrForbidden)
	}
	return auth.PublicKey{}, nil
}
