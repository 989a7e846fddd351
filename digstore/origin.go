package digstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/internal/history"
	"github.com/dig-network/digstore/digstore/internal/incoming"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// What follows makes a Workspace something that server.Server can serve and push to. An unknown
// store is fs.ErrNotExist everywhere.

// Stores yields the ids of all stores, without opening them: one that is damaged is among them.
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

// ids lists the stores that workspace.toml names.
func (w *Workspace) ids() ([]auth.StoreID, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.refreshLocked(); err != nil {
		return nil, err
	}
	var ids []auth.StoreID
	for _, name := range slices.Sorted(maps.Keys(w.reg.Stores)) {
		id, err := auth.ParseStoreID(w.reg.Stores[name].ID)
		if err != nil {
			return nil, fmt.Errorf("list stores: %w: workspace.toml names no id for store %q: %w",
				ErrCorrupt, name, err)
		}
		ids = append(ids, id)
	}
	return ids, nil
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

// Receive stores a pushed module, calls check on the module that the store can give back, and makes
// the generation the head. Under the lock of the store it compares p.Parent with the head again: a
// difference is module.ErrNotHead, a root that is in the history already fs.ErrExist. With
// p.Pending set the generation is kept and does not become the head: see Pending and Promote. A
// store that the workspace does not have is created. It is registered when its first generation is
// durable, and its publisher key is pinned; if p.Head.PublicKey is zero, the key in the module is
// taken. The error wraps what r or check returned.
func (w *Workspace) Receive(ctx context.Context, p module.Push, r io.Reader,
	check func(*module.Module) error) error {
	head := p.Head
	s, err := w.store(head.Store)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	id := module.ID{Store: head.Store, Root: head.Root}
	if s != nil {
		return s.receive(ctx, p, r, check)
	}
	in, err := w.receiveFirst(ctx)
	if err != nil {
		return fmt.Errorf("receive %s: %w", id, err)
	}
	defer in.Close()
	recipe, err := in.Accept(ctx, id, r, check)
	if err != nil {
		return fmt.Errorf("receive %s: %w", id, err)
	}
	if p.Head.PublicKey.IsZero() {
		p.Head.PublicKey = recipe.PublicKey()
	}
	if err := w.found(ctx, in, recipe, p); err != nil {
		return fmt.Errorf("receive %s: %w", id, err)
	}
	return nil
}

// receive is Receive for a store that is here.
func (s *Store) receive(ctx context.Context, p module.Push, r io.Reader,
	check func(*module.Module) error) error {
	id := module.ID{Store: p.Head.Store, Root: p.Head.Root}
	if err := s.sweepNow(ctx); err != nil {
		return fmt.Errorf("receive %s: %w", id, err)
	}
	in, err := s.receiveNew(ctx)
	if err != nil {
		return err
	}
	defer in.Close()
	recipe, err := in.Accept(ctx, id, r, check)
	if err != nil {
		return fmt.Errorf("receive %s: %w", id, err)
	}
	l, h, err := s.lockClean(ctx)
	if err != nil {
		return fmt.Errorf("receive %s: %w", id, err)
	}
	defer l.Close()
	if err := s.takeIn(ctx, h, in, recipe, p); err != nil {
		return fmt.Errorf("receive %s: %w", id, err)
	}
	return nil
}

// takeIn makes a received generation the head, or pending. The caller holds the store's lock.
func (s *Store) takeIn(ctx context.Context, h *history.History, in *incoming.Transfer,
	recipe *module.Recipe, p module.Push) error {
	if err := follows(h, recipe.Root(), p.Parent); err != nil {
		return err
	}
	if err := s.checkPool(recipe, in.Has); err != nil {
		return err
	}
	pins, err := s.readPins()
	if err == nil && pins.Publisher.IsZero() && !recipe.PublicKey().IsZero() {
		err = s.writePins(module.Pins{Publisher: recipe.PublicKey()})
	}
	if err != nil {
		return err
	}
	if p.Pending {
		return s.keepPending(in, recipe, p.Head, p.Parent)
	}
	return s.keepIncoming(ctx, h, in,
		&arrival{recipe: recipe, head: p.Head, lines: []module.Generation{s.nextLine(h, recipe.Root())}})
}

// Revert makes a generation that stands in the history and is held the head again, by one more line
// behind parent, which has to be the head still: else module.ErrNotHead. A root that is not in the
// history, or not held, is fs.ErrNotExist; the head itself is fs.ErrExist.
func (w *Workspace) Revert(ctx context.Context, head auth.SignedRoot, parent merkle.Hash) error {
	s, err := w.store(head.Store)
	if err != nil {
		return err
	}
	l, h, err := s.lockClean(ctx)
	if err != nil {
		return fmt.Errorf("revert to %s: %w", head.Root, err)
	}
	defer l.Close()
	if err := s.revert(ctx, h, head, parent); err != nil {
		return fmt.Errorf("revert to %s: %w", head.Root, err)
	}
	return nil
}

// revert is Revert for the holder of the lock.
func (s *Store) revert(ctx context.Context, h *history.History, head auth.SignedRoot,
	parent merkle.Hash) error {
	if top, _ := h.Head(); top.Root != parent {
		return fmt.Errorf("parent %s, the head is %s: %w", parent, top.Root, module.ErrNotHead)
	}
	if head.Root == parent {
		return fmt.Errorf("it is the head: %w", fs.ErrExist)
	}
	if _, ok, err := h.Find(head.Root); err != nil {
		return err
	} else if !ok {
		return fmt.Errorf("it is not in the history: %w", fs.ErrNotExist)
	}
	kept, err := s.recipe(head.Root)
	if err != nil {
		return err
	}
	if err := s.checkPool(kept.Recipe, func(merkle.Hash) bool { return false }); err != nil {
		return err
	}
	return s.publish(ctx, h, &arrival{recipe: kept.Recipe, names: kept.Names, head: head,
		lines: []module.Generation{s.nextLine(h, head.Root)}})
}

// follows checks that a new root comes behind the head: an all-zero parent stands for none.
func follows(h *history.History, root, parent merkle.Hash) error {
	if g, ok, err := h.Find(root); err != nil {
		return err
	} else if ok {
		return fmt.Errorf("root %s is generation %d: %w", root, g.Number, fs.ErrExist)
	}
	head, _ := h.Head()
	if head.Root != parent {
		return fmt.Errorf("parent %s, the head is %s: %w", parent, head.Root, module.ErrNotHead)
	}
	return nil
}

// nextLine is the history line of a new head.
func (s *Store) nextLine(h *history.History, root merkle.Hash) module.Generation {
	return module.Generation{Number: h.Len(), Root: root, Time: time.Unix(s.w.now().Unix(), 0).UTC()}
}

// found makes a store for its first generation. The store becomes known with its line in
// workspace.toml; what a crash before that leaves is taken up by the next push of the store.
func (w *Workspace) found(ctx context.Context, in *incoming.Transfer, recipe *module.Recipe,
	p module.Push) error {
	id := recipe.ID().Store
	name := id.String()
	dir := filepath.Join(w.dot, "stores", name)
	var behind error
	err := w.update(ctx, func(r *registry) (err error) {
		for n, e := range r.Stores {
			if e.ID == name {
				return fmt.Errorf("store %q was made by somebody else just now (push again): %w",
					n, module.ErrNotHead)
			}
		}
		if _, ok := r.taken(name); ok {
			return fmt.Errorf("the name %q is taken by another store: %w", name, fs.ErrExist)
		}
		w.stores.forget(name) // it may have been removed by another process
		settings := settings{id: id, maxSize: DefaultMaxSize}
		if set, err := w.readConfig(dir); err != nil || set.id != id { // else: left by a crash
			if err := w.makeStore(dir, settings, nil); err != nil {
				return err
			}
		}
		s, err := openStore(w, name)
		if err != nil {
			return err
		}
		defer s.packs.Close()
		l, h, err := s.lockClean(ctx)
		if err != nil {
			return err
		}
		defer l.Close()
		if _, ok := h.Head(); !ok {
			if err := s.writePins(module.Pins{Publisher: recipe.PublicKey()}); err != nil {
				return err
			}
		}
		err = s.takeIn(ctx, h, in, recipe, p)
		switch _, founded := h.Head(); {
		case err != nil && !founded:
			s.packs.Close()
			// Windows removes no open file; the store is not registered, so nothing else opens it
			_ = l.Close()
			if key, kerr := w.hasKey(dir); kerr == nil && !key {
				_ = diskfs.RemoveAll(w.fs, dir)
			}
			return err
		case errors.Is(err, module.ErrNotHead):
			// behind what a crash left, which is to be seen from now on
			behind = err
		case err != nil && !errors.Is(err, fs.ErrExist):
			return err
		}
		r.Stores[name] = regStore{ID: name}
		if r.Active == "" {
			r.Active = name
		}
		return nil
	})
	if err != nil {
		return err
	}
	return behind
}
