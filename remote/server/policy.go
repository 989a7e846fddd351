package server

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// A FirstPush is a push to an unknown store, or to a store without a key.
type FirstPush struct {
	Store     auth.StoreID
	Root      merkle.Hash
	Publisher auth.PublicKey // as declared; zero: only the module names the key
	Requester                // zero for [Server.Receive]
}

// A Policy decides about first pushes. Admit may be called concurrently, and twice for one push:
// before the body, and again with the module's key if no key was declared.
//
// See remote/PROTOCOL.md 6.9.
type Policy interface {
	// Admit returns the key that must sign the store. The zero key accepts the key of the push, which
	// the server then holds. [fs.ErrNotExist] refuses as unknown (404), [auth.ErrForbidden] as not
	// allowed (403).
	Admit(ctx context.Context, p FirstPush) (auth.PublicKey, error)
}

// RejectUnknown is the default [Policy]. It refuses every first push.
type RejectUnknown struct{}

// Admit returns [fs.ErrNotExist].
func (RejectUnknown) Admit(context.Context, FirstPush) (auth.PublicKey, error) {
	return auth.PublicKey{}, fs.ErrNotExist
}

// AllowList is a [Policy] that accepts the stores it lists, each with its key. A zero key accepts
// the key of the first push.
type AllowList map[auth.StoreID]auth.PublicKey

// Admit returns the key listed for the store, or [fs.ErrNotExist].
func (l AllowList) Admit(_ context.Context, p FirstPush) (auth.PublicKey, error) {
	key, ok := l[p.Store]
	if !ok {
		return auth.PublicKey{}, fs.ErrNotExist
	}
	return key, nil
}

// TrustOnFirstUse is a [Policy] that accepts every store with the key of its first push. Anyone can
// then claim an unknown id: use it where that is harmless, or with an Anchor.
type TrustOnFirstUse struct {
	// Anchor, if set, must return the pushed root as the store's current one.
	Anchor interface {
		CurrentRoot(ctx context.Context, s auth.StoreID) (merkle.Hash, error)
	}
}

// Admit accepts the store. It returns [auth.ErrForbidden] if the Anchor returns another root, and
// the Anchor's error if it fails.
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
