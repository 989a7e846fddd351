package server

import (
	"context"
	"io"
	"iter"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// A BackendLines is a [Backend] that finds single lines of a history without reading all of it.
// Optional; without it a push reads the whole list.
type BackendLines interface {
	// Line returns the line of a confirmed root; [fs.ErrNotExist] when it is not in the history of the
	// store.
	Line(ctx context.Context, s auth.StoreID, root merkle.Hash) (module.Generation, error)
	// Tail returns the last n lines, or all there are, oldest first.
	Tail(ctx context.Context, s auth.StoreID, n int) ([]module.Generation, error)
}

// A Backend is what a [Server] serves: enough for a read-only origin. Methods may be called
// concurrently. An unknown store or root is [fs.ErrNotExist].
type Backend interface {
	// Head is the newest confirmed generation of a store with its signatures. A store that is
	// registered but has no generation answers a zero Root and, when it is known, the key.
	Head(ctx context.Context, s auth.StoreID) (auth.SignedRoot, error)
	// Generations is the confirmed history, oldest first.
	Generations(ctx context.Context, s auth.StoreID) ([]module.Generation, error)
	// Module opens the bytes of a confirmed generation that is held. It should be cheap to open: HEAD
	// and the descriptor only seek to the end. The reader may also be an [io.WriterTo], which then
	// writes from the current offset on. The caller closes it.
	Module(ctx context.Context, s auth.StoreID, root merkle.Hash) (io.ReadSeekCloser, error)
}

// A Receiver is a [Backend] that takes pushes. Optional: without it PUT is answered 405.
type Receiver interface {
	// Receive takes r apart as it comes, calls check, and makes the generation the head, atomically
	// and under the store's lock, where it compares p.Parent with the head again: a difference is
	// [module.ErrNotHead], a root already in the history [fs.ErrExist]. An unknown store is made, and
	// holds p.Head.PublicKey from then on. With p.Pending set the generation is kept, but not made
	// the head. p.Head is checked already; check holds the module to it, its key included.
	//
	// The error wraps whatever r or check returned, and nothing becomes visible when there is one.
	Receive(ctx context.Context, p module.Push, r io.Reader,
		check func(*module.Module) error) error
}

// A Reverter is a [Receiver] whose histories may name a root again. Optional: without it a push of
// a root that stands in the history is refused.
type Reverter interface {
	// Revert makes a generation that stands in the history and is held the head again: one more line,
	// under the store's lock, where parent is compared with the head: a difference is
	// [module.ErrNotHead]. One that is not in the history, or not held, is [fs.ErrNotExist]. head is
	// checked already.
	Revert(ctx context.Context, head auth.SignedRoot, parent merkle.Hash) error
}

// A RecipeBackend is a [Backend] that knows recipes. Optional: without it modules go out whole.
type RecipeBackend interface {
	// Recipe returns the recipe of a generation that is held, confirmed or pending; in the encoding of
	// the module. An unknown store or root is [fs.ErrNotExist].
	Recipe(ctx context.Context, s auth.StoreID, root merkle.Hash) (*module.Recipe, error)
}

// A RecipeReceiver is a [Receiver] that takes a generation as recipe and chunks. Optional, and of
// use only on a [RecipeBackend]: without it modules are pushed whole.
type RecipeReceiver interface {
	// ReceiveRecipe is Receive for a generation whose recipe is known. It calls a.Fetch once, which
	// calls put for every chunk that a.Base does not have, from one goroutine at a time. put holds the
	// bytes to length and id of the chunk: a difference is [module.ErrVerify]. a.Base is held,
	// confirmed or pending. It may be the root itself, pending: then there is nothing to put, and it
	// becomes the head.
	ReceiveRecipe(ctx context.Context, p module.Push, a module.Assembly,
		check func(*module.Module) error) error
}

// A Lister is a [Backend] that can say which stores it has. Optional.
type Lister interface {
	// Stores yields the ids in no particular order, those of stores that are damaged too. It stops
	// after an error.
	Stores(ctx context.Context) iter.Seq2[auth.StoreID, error]
}

// A Revoker is a [Backend] that keeps tombstones. Optional: without it there is no tombstone route.
type Revoker interface {
	// Tombstones returns the valid tombstones kept for a store, at most one a root and one for the
	// store.
	Tombstones(ctx context.Context, s auth.StoreID) ([]auth.Tombstone, error)
	// Revoke keeps t, durably, in place of one of the same scope and root. The caller has checked its
	// signature. An unknown store is [fs.ErrNotExist].
	Revoke(ctx context.Context, t auth.Tombstone) error
}
