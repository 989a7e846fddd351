package digstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/dig-network/digstore/digstore/internal/incoming"
	"github.com/dig-network/digstore/digstore/internal/keydir"
	"github.com/dig-network/digstore/digstore/internal/receive"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
)

// receiveFirst receives the first generation of a store that the workspace does not have. accept
// reads and checks the generation.
func (w *Workspace) receiveFirst(ctx context.Context, p module.Push,
	accept func(in *incoming.Transfer, id module.ID) (*module.Recipe, error)) error {
	dir := filepath.Join(w.dot, incoming.Dir)
	if err := incoming.Sweep(ctx, w.fs, dir, incoming.None); err != nil {
		return err
	}
	in, err := incoming.New(ctx, w.fs, w.dot, nil, w.rand)
	if err != nil {
		return err
	}
	defer in.Close()
	recipe, err := accept(in, module.ID{Store: p.Head.Store, Root: p.Head.Root})
	if err != nil {
		return err
	}
	if p.Head.PublicKey.IsZero() {
		p.Head.PublicKey = recipe.PublicKey()
	}
	return w.createFor(ctx, &receive.Received{Transfer: in, Recipe: recipe, Push: p})
}

// createFor makes a store for its first generation. The store becomes known with its entry in
// workspace.toml. The next push of the store uses what a crash before that has left.
func (w *Workspace) createFor(ctx context.Context, r *receive.Received) error {
	name := r.Push.Head.Store.String()
	var notHead error
	err := w.update(ctx, func(reg *registry) error {
		for n, e := range reg.Stores {
			if e.ID == name {
				return fmt.Errorf("store %q has just been made by another push: %w", n,
					module.ErrNotHead)
			}
		}
		if _, ok := reg.taken(name); ok {
			return fmt.Errorf("name %q belongs to another store: %w", name, fs.ErrExist)
		}
		w.stores.forget(name) // another process may have removed it
		hadHead, err := w.makeWith(ctx, name, r)
		switch {
		case err != nil && !hadHead:
			return err
		case errors.Is(err, module.ErrNotHead):
			// a crash left a store with a head, which is listed from now on
			notHead = err
		case err != nil && !errors.Is(err, fs.ErrExist):
			return err
		}
		reg.Stores[name] = regStore{ID: name}
		if reg.Active == "" {
			reg.Active = name
		}
		return nil
	})
	if err != nil {
		return err
	}
	return notHead
}

// makeWith makes the files of a store and keeps its first generation. hadHead says that a crash
// left a store with a head; without one the files are removed after an error. The caller holds the
// lock of the workspace.
func (w *Workspace) makeWith(ctx context.Context, name string,
	r *receive.Received) (hadHead bool, err error) {
	id := r.Push.Head.Store
	dir := filepath.Join(w.dot, "stores", name)
	if set, err := w.readConfig(dir); err != nil || set.id != id { // otherwise a crash left it
		if err := w.makeStore(dir, settings{id: id, maxSize: DefaultMaxSize}, nil); err != nil {
			return false, err
		}
	}
	s, err := openStore(w, name)
	if err != nil {
		return false, err
	}
	defer s.dir.Packs.Close()
	l, h, err := s.dir.LockHead(ctx)
	if err != nil {
		return false, err
	}
	defer l.Close()
	if _, hadHead = h.Head(); !hadHead {
		if err := s.dir.Pins.Write(module.Pins{Publisher: r.Recipe.PublicKey()}); err != nil {
			return false, err
		}
	}
	err = receive.Keep(ctx, s.dir, h, r)
	if err != nil && !hadHead {
		s.dir.Packs.Close()
		// Windows removes no open file. The store is not registered, so nothing else opens it.
		_ = l.Close()
		if key, kerr := keydir.Exists(w.fs, dir); kerr == nil && !key {
			_ = diskfs.RemoveAll(w.fs, dir)
		}
	}
	return hadHead, err
}
