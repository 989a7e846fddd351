package digstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/internal/incoming"
	"github.com/dig-network/digstore/digstore/internal/packdir"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// Recipe returns the recipe of a generation that is held; fs.ErrNotExist when it is not, or lies in
// the form of the reference. It must not be changed.
func (s *Store) Recipe(_ context.Context, root merkle.Hash) (*module.Recipe, error) {
	h, err := s.log.Current()
	if err != nil {
		return nil, err
	}
	if _, ok, err := h.Find(root); err != nil {
		return nil, fmt.Errorf("recipe of %s: %w", root, err)
	} else if !ok {
		return nil, fmt.Errorf("recipe of %s: store %s: %w", root, s.name, fs.ErrNotExist)
	}
	kept, err := s.recipe(root)
	if err != nil {
		return nil, fmt.Errorf("recipe of %s: %w", root, err)
	}
	return kept.Recipe, nil
}

// MissingChunks returns the places in r.Pool() of the chunks that are not here, ascending, each
// chunk once. What an Assemble of the same root has brought before it broke off is here. A length
// that is not that of the chunk is module.ErrVerify. A gc of another process may remove chunks
// until Assemble has begun: Assemble is fs.ErrNotExist then, and MissingChunks names what to bring
// in the next attempt.
func (s *Store) MissingChunks(ctx context.Context, r *module.Recipe) ([]int, error) {
	if err := s.sweepNow(ctx); err != nil {
		return nil, fmt.Errorf("look for chunks: %w", err)
	}
	arrived, err := incoming.Arrived(s.w.fs, s.chunksDir(r.Root()), r)
	if err != nil {
		return nil, fmt.Errorf("look for chunks: %w", err)
	}
	here := make(map[merkle.Hash]bool, len(arrived))
	for _, e := range arrived {
		here[e.ID] = true
	}
	var lacking []int
	for i, c := range r.Pool() {
		if here[c.ID] {
			continue
		}
		had, err := s.packs.Holds(c)
		if err != nil {
			return nil, fmt.Errorf("look for chunks: %w", err)
		}
		if here[c.ID] = true; !had { // it is named once
			lacking = append(lacking, i)
		}
	}
	return lacking, nil
}

// Assemble is Install for a generation that comes as a recipe and chunks. It calls a.Fetch once,
// which calls put for every chunk that MissingChunks names, in any order. Several goroutines may
// call put. It returns module.ErrVerify for bytes that are not those of the chunk. A chunk that is
// neither put nor held is fs.ErrNotExist.
//
// The module that check is given need not read what it has in common with a.Base, nor what put has
// just hashed, and reads everything else. Errors and the lock are those of Install. What came
// before a.Fetch failed is kept.
func (s *Store) Assemble(ctx context.Context, lines []module.Generation, head auth.SignedRoot,
	a module.Assembly, check func(*module.Module) error) error {
	r, base := a.Recipe, a.Base
	root, held, err := s.expect(ctx, lines, &head)
	if err == nil && held {
		err = s.again(ctx, root, lines, head, check)
	}
	if err != nil {
		return fmt.Errorf("assemble: %w", err)
	}
	if held {
		return nil
	}
	var known *module.Recipe
	if !base.IsZero() {
		if known, err = s.Recipe(ctx, base); err != nil {
			return fmt.Errorf("assemble %s: %w", root, err)
		}
	}
	in, err := incoming.OpenChunks(ctx, s.w.fs, s.chunksDir(root), s.packs, r)
	if err != nil {
		return fmt.Errorf("assemble %s: %w", root, err)
	}
	defer in.Close()
	p := &incoming.Parts{To: in, Recipe: r, Base: known, Resumable: true}
	if err := p.Accept(ctx, module.ID{Store: s.set.id, Root: root}, a.Fetch, check); err != nil {
		return fmt.Errorf("assemble %s: %w", root, err)
	}
	if err := s.settle(ctx, in, r, head, lines); err != nil {
		return fmt.Errorf("assemble %s: %w", root, err)
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
	r, err := s.Recipe(ctx, root)
	if !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	_, perr := s.readPending(root)
	if perr == nil {
		r, perr = s.pendingRecipe(root)
	}
	if errors.Is(perr, fs.ErrNotExist) {
		return s.Recipe(ctx, root) // it may have been promoted meanwhile
	}
	if perr != nil {
		return nil, fmt.Errorf("recipe of %s: %w", root, perr)
	}
	return r, nil
}

// ReceiveRecipe is Receive for a generation that comes as a recipe and chunks. a.Fetch and check
// are used as by Store.Assemble. a.Base is held, confirmed or pending, else fs.ErrNotExist. What
// only a pending one has need not be put. The root itself, pending, may be its own base: then it
// becomes the head, and there is nothing to put.
func (w *Workspace) ReceiveRecipe(ctx context.Context, p module.Push, a module.Assembly,
	check func(*module.Module) error) error {
	id := module.ID{Store: p.Head.Store, Root: p.Head.Root}
	s, err := w.store(id.Store)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if s == nil {
		err = w.createFromRecipe(ctx, p, a, check)
	} else {
		err = s.receiveRecipe(ctx, p, a, check)
	}
	if err != nil {
		return fmt.Errorf("receive %s: %w", id, err)
	}
	return nil
}

// createFromRecipe receives the first generation of a store.
func (w *Workspace) createFromRecipe(ctx context.Context, p module.Push, a module.Assembly,
	check func(*module.Module) error) error {
	if !a.Base.IsZero() {
		return fmt.Errorf("base %s: %w", a.Base, fs.ErrNotExist)
	}
	in, err := w.receiveFirst(ctx)
	if err != nil {
		return err
	}
	defer in.Close()
	parts := &incoming.Parts{To: in, Recipe: a.Recipe}
	id := module.ID{Store: p.Head.Store, Root: p.Head.Root}
	if err := parts.Accept(ctx, id, a.Fetch, check); err != nil {
		return err
	}
	if p.Head.PublicKey.IsZero() {
		p.Head.PublicKey = a.Recipe.PublicKey()
	}
	return w.found(ctx, in, a.Recipe, p)
}

// receiveRecipe receives a generation of a store that is here.
func (s *Store) receiveRecipe(ctx context.Context, p module.Push, a module.Assembly,
	check func(*module.Module) error) error {
	if err := s.sweepNow(ctx); err != nil {
		return err
	}
	parts := &incoming.Parts{Recipe: a.Recipe}
	var err error
	if !a.Base.IsZero() {
		if parts.Base, err = s.w.Recipe(ctx, s.set.id, a.Base); err != nil {
			return err
		}
		if parts.More, err = packdir.OpenAlone(s.w.fs, s.pendingName(a.Base, packdir.Ext),
			s.packs); err != nil {
			return err
		}
		defer parts.More.Close()
		if a.Base == p.Head.Root && !p.Pending {
			return s.advance(ctx, p, parts, a.Fetch, check)
		}
	}
	if parts.To, err = s.receiveNew(ctx); err != nil {
		return err
	}
	defer parts.To.Close()
	id := module.ID{Store: s.set.id, Root: p.Head.Root}
	if err := parts.Accept(ctx, id, a.Fetch, check); err != nil {
		return err
	}
	l, h, err := s.lockClean(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	return s.takeIn(ctx, h, parts.To, a.Recipe, p)
}

// advance makes a pending generation the head because its recipe came again.
func (s *Store) advance(ctx context.Context, p module.Push, parts *incoming.Parts,
	fetch incoming.Fetch, check func(*module.Module) error) error {
	if err := sameRecipe(parts.Recipe, parts.Base); err != nil {
		return err
	}
	if err := fetch(parts.Put); err != nil { // the chunks are here already
		return err
	}
	id := module.ID{Store: s.set.id, Root: p.Head.Root}
	if err := incoming.Check(parts.Base.WithVerified(parts.Base, nil), parts.More, id,
		check); err != nil {
		return err
	}
	parts.More.Close() // Windows renames no open file
	l, h, err := s.lockClean(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	return s.promote(ctx, h, p.Head, p.Parent)
}

func sameRecipe(a, b *module.Recipe) error {
	x, err := a.MarshalBinary()
	if err != nil {
		return err
	}
	y, err := b.MarshalBinary()
	if err != nil {
		return err
	}
	if string(x) != string(y) {
		return fmt.Errorf("the recipe is another one than that of the pending generation: %w",
			module.ErrVerify)
	}
	return nil
}
