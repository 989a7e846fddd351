package digstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/internal/incoming"
	"github.com/dig-network/digstore/digstore/internal/receive"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// The methods in this file make a Workspace a server.Backend, which a server.Server serves and
// which receives pushes. For an unknown store every method returns fs.ErrNotExist. Package receive
// does the work for an existing store.

// Stores yields the ids of all stores. It does not open them, so damaged ones are among them.
func (w *Workspace) Stores(context.Context) iter.Seq2[auth.StoreID, error] {
	return func(yield func(auth.StoreID, error) bool) {
		ids, err := w.ids()
		if err != nil {
			yield(auth.StoreID{}, err)
			return
		}
		for _, id := range ids {
			if !yield(id, nil) {
				return
			}
		}
	}
}

// Head is Store.Head.
func (w *Workspace) Head(ctx context.Context, id auth.StoreID) (auth.SignedRoot, error) {
	s, err := w.store(id)
	if err != nil {
		return auth.SignedRoot{}, err
	}
	return s.Head(ctx)
}

// Generations is Store.Generations.
func (w *Workspace) Generations(ctx context.Context, id auth.StoreID) ([]module.Generation, error) {
	s, err := w.store(id)
	if err != nil {
		return nil, err
	}
	return s.Generations(ctx)
}

// Line is Store.Line.
func (w *Workspace) Line(ctx context.Context, id auth.StoreID,
	root merkle.Hash) (module.Generation, error) {
	s, err := w.store(id)
	if err != nil {
		return module.Generation{}, err
	}
	return s.Line(ctx, root)
}

// Module is Store.Module.
func (w *Workspace) Module(ctx context.Context, id auth.StoreID,
	root merkle.Hash) (io.ReadSeekCloser, error) {
	s, err := w.store(id)
	if err != nil {
		return nil, err
	}
	return s.Module(ctx, root)
}

// Tombstones is Store.Tombstones.
func (w *Workspace) Tombstones(ctx context.Context, id auth.StoreID) ([]auth.Tombstone, error) {
	s, err := w.store(id)
	if err != nil {
		return nil, err
	}
	return s.Tombstones(ctx, id)
}

// Revoke is Store.Revoke.
func (w *Workspace) Revoke(ctx context.Context, t auth.Tombstone) error {
	s, err := w.store(t.Store)
	if err != nil {
		return err
	}
	return s.Revoke(ctx, t)
}

// Pending lists the pending generations of a store, oldest first. Time is the time of receipt, and
// Number the number that the generation would get.
func (w *Workspace) Pending(_ context.Context, id auth.StoreID) ([]module.Generation, error) {
	s, err := w.store(id)
	if err != nil {
		return nil, err
	}
	return receive.Pending(s.dir)
}

// Promote makes a pending generation the head if the parent named by its push is still the head.
// Otherwise it returns module.ErrNotHead. If the root is not pending, the error is fs.ErrNotExist.
func (w *Workspace) Promote(ctx context.Context, id auth.StoreID, root merkle.Hash) error {
	s, err := w.store(id)
	if err != nil {
		return err
	}
	if err := receive.Promote(ctx, s.dir, root); err != nil {
		return fmt.Errorf("promote %s: %w", root, err)
	}
	return nil
}

// Drop removes a pending generation. It is no error if the generation is not pending.
func (w *Workspace) Drop(ctx context.Context, id auth.StoreID, root merkle.Hash) error {
	s, err := w.store(id)
	if err != nil {
		return err
	}
	if err := receive.Drop(ctx, s.dir, root); err != nil {
		return fmt.Errorf("drop %s: %w", root, err)
	}
	return nil
}

// Revert makes a held generation of the history the head again, by appending one more line after
// parent. If parent is not the head, it returns module.ErrNotHead. A root that is not in the
// history, or not held, is fs.ErrNotExist; the head itself is fs.ErrExist.
func (w *Workspace) Revert(ctx context.Context, head auth.SignedRoot, parent merkle.Hash) error {
	s, err := w.store(head.Store)
	if err != nil {
		return err
	}
	if err := receive.Revert(ctx, s.dir, module.Push{Head: head, Parent: parent}); err != nil {
		return fmt.Errorf("revert to %s: %w", head.Root, err)
	}
	return nil
}

// Recipe is Store.Recipe, for pending generations too.
func (w *Workspace) Recipe(ctx context.Context, id auth.StoreID,
	root merkle.Hash) (*module.Recipe, error) {
	s, err := w.store(id)
	if err != nil {
		return nil, err
	}
	return receive.Recipe(s.dir, root)
}

// Receive stores a pushed module, calls check on the module as the store would return it, and makes
// the generation the head. Under the lock of the store it compares p.Parent with the head again: a
// difference is module.ErrNotHead, a root that is in the history already fs.ErrExist. With
// p.Pending set the generation is kept and does not become the head: see Pending and Promote. A
// store that the workspace does not have is created. It is registered when its first generation is
// durable, and its publisher key is pinned; if p.Head.PublicKey is zero, the key in the module is
// taken. The error wraps what r or check returned.
func (w *Workspace) Receive(ctx context.Context, p module.Push, r io.Reader,
	check func(*module.Module) error) error {
	s, err := w.store(p.Head.Store)
	switch {
	case err == nil:
		err = receive.Push(ctx, s.dir, p, r, check)
	case errors.Is(err, fs.ErrNotExist):
		err = w.receiveFirst(ctx, p, func(in *incoming.Transfer, id module.ID) (*module.Recipe, error) {
			return in.Accept(ctx, id, r, check)
		})
	default:
		return err
	}
	return receiveError(p, err)
}

// ReceiveRecipe is Receive for a generation that comes as a recipe and chunks. It calls a.Fetch and
// check as Store.Assemble does. a.Base must be held or pending, or the error is fs.ErrNotExist.
// Chunks of a pending base need not be put. A pending generation may be its own base: then it
// becomes the head, and no chunk is put.
func (w *Workspace) ReceiveRecipe(ctx context.Context, p module.Push, a module.Assembly,
	check func(*module.Module) error) error {
	s, err := w.store(p.Head.Store)
	switch {
	case err == nil:
		err = receive.PushRecipe(ctx, s.dir, p, a, check)
	case errors.Is(err, fs.ErrNotExist) && !a.Base.IsZero():
		err = fmt.Errorf("base %s: %w", a.Base, fs.ErrNotExist)
	case errors.Is(err, fs.ErrNotExist):
		err = w.receiveFirst(ctx, p, func(in *incoming.Transfer, id module.ID) (*module.Recipe, error) {
			parts := &incoming.Parts{To: in, Recipe: a.Recipe, Fetch: a.Fetch}
			return a.Recipe, parts.Accept(ctx, id, check)
		})
	default:
		return err
	}
	return receiveError(p, err)
}

// receiveError adds the generation to an error.
func receiveError(p module.Push, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("receive %s: %w", module.ID{Store: p.Head.Store, Root: p.Head.Root}, err)
}
