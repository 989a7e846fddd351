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

// Assemble is Install for a generation that comes as recipe and chunks. fetch is called once and
// calls put for every chunk that MissingChunks names, in any order; i is its place in r.Pool(). put
// may be called by several goroutines, keeps no reference to sealed, and refuses bytes that are not
// the chunk's, with module.ErrVerify. A chunk that is neither put nor held is fs.ErrNotExist.
//
// base is zero, or a generation that is held and was verified: the module that check is given need
// not read what it has in common with that, nor what put has just hashed, and reads everything
// else. Errors and the lock are as with Install; what came before fetch failed is kept.
func (s *Store) Assemble(ctx context.Context, lines []module.Generation, head auth.SignedRoot,
	r *module.Recipe, base merkle.Hash,
	fetch func(put func(i int, sealed []byte) error) error, check func(*module.Module) error) error {
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
	if err := p.Accept(ctx, module.ID{Store: s.set.id, Root: root}, fetch, check); err != nil {
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

// ReceiveRecipe is Receive for a generation that comes as recipe and chunks; fetch, put and check
// are as with Store.Assemble. base is zero, or a generation that is here, confirmed or pending,
// else fs.ErrNotExist; what only a pending one has need not be put. The root itself, pending, may
// be its own base: then it becomes the head, and there is nothing to put.
func (w *Workspace) ReceiveRecipe(ctx context.Context, head auth.SignedRoot, parent merkle.Hash,
	pending bool, r *module.Recipe, base merkle.Hash,
	fetch func(put func(i int, sealed []byte) error) error, check func(*module.Module) error) error {
	id := module.ID{Store: head.Store, Root: head.Root}
	s, err := w.store(head.Store)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if s == nil {
		err = w.foundRecipe(ctx, id, head, parent, pending, r, base, fetch, check)
	} else {
		err = s.receiveRecipe(ctx, id, head, parent, pending, r, base, fetch, check)
	}
	if err != nil {
		return fmt.Errorf("receive %s: %w", id, err)
	}
	return nil
}

// foundRecipe receives the first generation of a store.
func (w *Workspace) foundRecipe(ctx context.Context, id module.ID, head auth.SignedRoot,
	parent merkle.Hash, pending bool, r *module.Recipe, base merkle.Hash,
	fetch func(put func(i int, sealed []byte) error) error, check func(*module.Module) error) error {
	if !base.IsZero() {
		return fmt.Errorf("base %s: %w", base, fs.ErrNotExist)
	}
	in, err := w.receiveFirst(ctx)
	if err != nil {
		return err
	}
	defer in.Close()
	p := &incoming.Parts{To: in, Recipe: r}
	if err := p.Accept(ctx, id, fetch, check); err != nil {
		return err
	}
	if head.PublicKey.IsZero() {
		head.PublicKey = r.PublicKey()
	}
	return w.found(ctx, in, r, head, parent, pending)
}

// receiveRecipe receives a generation of a store that is here.
func (s *Store) receiveRecipe(ctx context.Context, id module.ID, head auth.SignedRoot,
	parent merkle.Hash, pending bool, r *module.Recipe, base merkle.Hash,
	fetch func(put func(i int, sealed []byte) error) error, check func(*module.Module) error) error {
	if err := s.sweepNow(ctx); err != nil {
		return err
	}
	p := &incoming.Parts{Recipe: r}
	var err error
	if !base.IsZero() {
		if p.Base, err = s.w.Recipe(ctx, s.set.id, base); err != nil {
			return err
		}
		if p.More, err = packdir.OpenAlone(s.w.fs, s.pendingName(base, packdir.Ext),
			s.packs); err != nil {
			return err
		}
		defer p.More.Close()
		if base == id.Root && !pending {
			return s.advance(ctx, p, id, head, parent, fetch, check)
		}
	}
	if p.To, err = s.receiveNew(ctx); err != nil {
		return err
	}
	defer p.To.Close()
	if err := p.Accept(ctx, id, fetch, check); err != nil {
		return err
	}
	l, h, err := s.lockClean(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	return s.takeIn(ctx, h, p.To, r, head, parent, pending)
}

// advance makes a pending generation the head because its recipe came again.
func (s *Store) advance(ctx context.Context, p *incoming.Parts, id module.ID, head auth.SignedRoot,
	parent merkle.Hash,
	fetch func(put func(i int, sealed []byte) error) error, check func(*module.Module) error) error {
	if err := sameRecipe(p.Recipe, p.Base); err != nil {
		return err
	}
	if err := fetch(p.Put); err != nil { // what comes is here
		return err
	}
	if err := incoming.Check(p.Base.WithVerified(p.Base, nil), p.More, id, check); err != nil {
		return err
	}
	p.More.Close() // Windows renames no open file
	l, h, err := s.lockClean(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	return s.promote(ctx, h, head, parent)
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
