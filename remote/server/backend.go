package server

import (
	"context"
	"io"
	"iter"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// A Backend holds the stores that a [Server] serves. Its methods are enough for a read-only origin;
// [New] finds optional interfaces by type assertion. Methods may be called concurrently. An unknown
// store or root is [fs.ErrNotExist].
type Backend interface {
	// Head returns the newest confirmed generation of a store with its signatures. A store that is
	// registered but has no generation has a zero Root and, if it is known, the key.
	Head(ctx context.Context, s auth.StoreID) (auth.SignedRoot, error)
	// Generations returns the confirmed history, oldest first.
	Generations(ctx context.Context, s auth.StoreID) ([]module.Generation, error)
	// Module opens the bytes of a confirmed generation that is held. Opening should be cheap: HEAD
	// and the descriptor only seek to the end. The reader may also be an [io.WriterTo], which then
	// writes from the current offset on, and a [Digested]. The caller closes it.
	Module(ctx context.Context, s auth.StoreID, root merkle.Hash) (io.ReadSeekCloser, error)
}

// optional holds the optional interfaces of a [Backend]. Those that it does not implement are nil.
type optional struct {
	receiver      Receiver
	promoter      Promoter
	recipeBackend RecipeBackend
	catalog       Catalog
	revoker       Revoker
}

// optionalOf finds the optional interfaces of b. No other code looks for them.
func optionalOf(b Backend) (o optional) {
	o.receiver, _ = b.(Receiver)
	o.promoter, _ = b.(Promoter)
	o.recipeBackend, _ = b.(RecipeBackend)
	o.catalog, _ = b.(Catalog)
	o.revoker, _ = b.(Revoker)
	return o
}

// A Receiver is a [Backend] that takes pushes. Optional: without it PUT is answered 405.
type Receiver interface {
	// Receive reads a module from r, calls check, and makes the generation the head. It does so
	// atomically and under the lock of the store, where it compares p.Parent with the head again: a
	// difference is [module.ErrNotHead], a root already in the history [fs.ErrExist]. An unknown
	// store is created with the key p.Head.PublicKey. If p.Pending is set, the generation is kept but
	// not made the head. The caller has verified the signatures of p.Head; check compares the module
	// with p.Head, including the key.
	//
	// The error wraps an error of r or of check. After an error nothing has changed.
	Receive(ctx context.Context, p module.Push, r io.Reader,
		check func(*module.Module) error) error
	// Line returns the generation of a confirmed root. A root that is not in the history of the store
	// is [fs.ErrNotExist]. It should not read the whole history: each push calls it.
	Line(ctx context.Context, s auth.StoreID, root merkle.Hash) (module.Generation, error)
}

// A Promoter is a [Receiver] that can make a held generation the head without receiving the module
// again. Optional: without it a push of mode pending is refused, and so is a push of a root that is
// in the history.
type Promoter interface {
	// Pending lists the pending generations, oldest first: those that were received with p.Pending
	// set and neither promoted nor dropped. It sets Root, Time of reception, and the Number that the
	// generation would get. An unknown store is [fs.ErrNotExist].
	Pending(ctx context.Context, s auth.StoreID) ([]module.Generation, error)
	// Promote makes a pending root the head, as Receive does without p.Pending: under the lock it
	// compares the parent of the push with the head ([module.ErrNotHead]). A root that is not pending
	// is [fs.ErrNotExist].
	Promote(ctx context.Context, s auth.StoreID, root merkle.Hash) error
	// Drop removes a pending root. A root that is not pending is no error.
	Drop(ctx context.Context, s auth.StoreID, root merkle.Hash) error
	// Revert makes a generation of the history the head again: it appends the generation to the
	// history. Under the lock of the store it compares parent with the head: a difference is
	// [module.ErrNotHead]. A root that is not in the history, or is not held, is [fs.ErrNotExist].
	// The caller has verified the signatures of head.
	Revert(ctx context.Context, head auth.SignedRoot, parent merkle.Hash) error
}

// A RecipeBackend is a [Backend] that has the recipes of its generations. Optional: without it
// modules are sent and received whole.
type RecipeBackend interface {
	// Recipe returns the recipe of a generation that is held, confirmed or pending, in the encoding
	// of the module. An unknown store or root is [fs.ErrNotExist].
	Recipe(ctx context.Context, s auth.StoreID, root merkle.Hash) (*module.Recipe, error)
	// ReceiveRecipe is Receive for a generation with a known recipe. It calls a.Fetch once, which
	// calls put for every chunk that a.Base does not have, from one goroutine at a time. put compares
	// the bytes with length and id of the chunk: a difference is [module.ErrVerify]. a.Base is a held
	// generation, confirmed or pending. If a.Base is the root itself, pending, there are no chunks to
	// put, and it becomes the head. ReceiveRecipe is called only if the Backend is a [Receiver].
	ReceiveRecipe(ctx context.Context, p module.Push, a module.Assembly,
		check func(*module.Module) error) error
}

// A Catalog is a [Backend] that lists its stores, checks them for damage, and records their owners.
// Optional: without it [Server.Serving] and a [Quota] fail.
type Catalog interface {
	// Stores yields the ids in no particular order, those of damaged stores included. It stops after
	// an error.
	Stores(ctx context.Context) iter.Seq2[auth.StoreID, error]
	// CheckStore checks a store without reading all of it. Damage is [module.ErrDamaged], an unknown
	// store [fs.ErrNotExist]. The server calls it when it first lists a store, and repeatedly for a
	// damaged store. A backend without such a check returns nil.
	CheckStore(ctx context.Context, s auth.StoreID) error
	// SetOwner records durably which identity pushed the first generation of a store. A backend that
	// records no owners returns [errors.ErrUnsupported].
	SetOwner(ctx context.Context, s auth.StoreID, owner auth.PublicKey) error
	// Owned yields the stores that have an owner, in no particular order. It stops after an error. A
	// backend that records no owners yields [errors.ErrUnsupported].
	Owned(ctx context.Context) iter.Seq2[module.Owned, error]
}

// A Revoker is a [Backend] that stores tombstones. Optional: without it there is no tombstone
// route.
type Revoker interface {
	// Tombstones returns the valid tombstones of a store, at most one for each root and one for the
	// whole store.
	Tombstones(ctx context.Context, s auth.StoreID) ([]auth.Tombstone, error)
	// Revoke stores t durably. It replaces a tombstone of the same store and root. The caller has
	// verified the signature. An unknown store is [fs.ErrNotExist].
	Revoke(ctx context.Context, t auth.Tombstone) error
}
