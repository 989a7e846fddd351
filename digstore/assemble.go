package digstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/internal/pack"
	"github.com/dig-network/digstore/digstore/internal/packdir"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// What follows lets a generation come as its recipe and the chunks that are not here yet. It is received below
// incoming/, in a directory named by the root and partsExt, as a pack without its index. Its frames say themselves what
// they are, since a chunk's id is its hash: so what a transfer that broke off has brought is found by hashing it.
const partsExt = ".parts"

// Recipe returns the recipe of a generation that is held; fs.ErrNotExist when it is not, or lies in the form of the
// reference. It must not be changed.
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

// MissingChunks returns the places in r.Pool() of the chunks that are not here, ascending, each chunk once. What an
// Assemble of the same root has brought before it broke off is here. A length that is not that of the chunk is
// module.ErrVerify. A gc of another process may remove chunks until Assemble has begun: Assemble is fs.ErrNotExist then,
// and MissingChunks names what to bring in the next attempt.
func (s *Store) MissingChunks(_ context.Context, r *module.Recipe) ([]int, error) {
	if err := s.sweepNow(); err != nil {
		return nil, fmt.Errorf("look for chunks: %w", err)
	}
	arrived, _, err := collected(s.w.fs, filepath.Join(s.partDir(r.Root())+partsExt, incomingPack), r)
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

// Assemble is Install for a generation that comes as recipe and chunks. fetch is called once and calls put for every
// chunk that MissingChunks names, in any order; i is its place in r.Pool(). put may be called by several goroutines, keeps
// no reference to sealed, and refuses bytes that are not the chunk's, with module.ErrVerify. A chunk that is neither
// put nor held is fs.ErrNotExist.
//
// base is zero, or a generation that is held and was verified: the module that check is given need not read what it
// has in common with that, nor what put has just hashed, and reads everything else. Errors and the lock are as with
// Install; what came before fetch failed is kept.
func (s *Store) Assemble(ctx context.Context, lines []module.Generation, head auth.SignedRoot, r *module.Recipe, base merkle.Hash,
	fetch func(put func(i int, sealed []byte) error) error, check func(*module.Module) error) error {
	root, held, err := s.expect(lines, &head)
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
	in, err := openParts(s.w.fs, s.partDir(root)+partsExt, s.packs, r)
	if err != nil {
		return fmt.Errorf("assemble %s: %w", root, err)
	}
	defer in.close()
	p := &parts{in: in, recipe: r, base: known, keep: true}
	if err := p.accept(ctx, module.ID{Store: s.set.id, Root: root}, fetch, check); err != nil {
		return fmt.Errorf("assemble %s: %w", root, err)
	}
	if err := s.settle(ctx, in, r, head, lines); err != nil {
		return fmt.Errorf("assemble %s: %w", root, err)
	}
	return nil
}

// Recipe is Store.Recipe, for pending generations too.
func (w *Workspace) Recipe(ctx context.Context, id auth.StoreID, root merkle.Hash) (*module.Recipe, error) {
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

// ReceiveRecipe is Receive for a generation that comes as recipe and chunks; fetch, put and check are as with
// Store.Assemble. base is zero, or a generation that is here, confirmed or pending, else fs.ErrNotExist; what only a
// pending one has need not be put. The root itself, pending, may be its own base: then it becomes the head, and
// there is nothing to put.
func (w *Workspace) ReceiveRecipe(ctx context.Context, head auth.SignedRoot, parent merkle.Hash, pending bool, r *module.Recipe, base merkle.Hash,
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
func (w *Workspace) foundRecipe(ctx context.Context, id module.ID, head auth.SignedRoot, parent merkle.Hash, pending bool, r *module.Recipe, base merkle.Hash,
	fetch func(put func(i int, sealed []byte) error) error, check func(*module.Module) error) error {
	if !base.IsZero() {
		return fmt.Errorf("base %s: %w", base, fs.ErrNotExist)
	}
	if err := sweepIncoming(w.fs, filepath.Join(w.dot, incomingDir), func(string) bool { return false }); err != nil {
		return err
	}
	in, err := newIncoming(w, w.dot, nil)
	if err != nil {
		return err
	}
	defer in.close()
	p := &parts{in: in, recipe: r}
	if err := p.accept(ctx, id, fetch, check); err != nil {
		return err
	}
	if head.PublicKey.IsZero() {
		head.PublicKey = r.PublicKey()
	}
	return w.found(ctx, in, r, head, parent, pending)
}

// receiveRecipe receives a generation of a store that is here.
func (s *Store) receiveRecipe(ctx context.Context, id module.ID, head auth.SignedRoot, parent merkle.Hash, pending bool, r *module.Recipe, base merkle.Hash,
	fetch func(put func(i int, sealed []byte) error) error, check func(*module.Module) error) error {
	if err := s.sweepNow(); err != nil {
		return err
	}
	p := &parts{recipe: r}
	var err error
	if !base.IsZero() {
		if p.base, err = s.w.Recipe(ctx, s.set.id, base); err != nil {
			return err
		}
		if p.more, err = packdir.OpenAlone(s.w.fs, s.pendingName(base, packdir.Ext), s.packs); err != nil {
			return err
		}
		defer p.more.Close()
		if base == id.Root && !pending {
			return s.advance(ctx, p, id, head, parent, fetch, check)
		}
	}
	if p.in, err = newIncoming(s.w, s.dir, s.packs); err != nil {
		return err
	}
	defer p.in.close()
	if err := p.accept(ctx, id, fetch, check); err != nil {
		return err
	}
	l, h, err := s.lockClean(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	return s.takeIn(ctx, h, p.in, r, head, parent, pending)
}

// advance makes a pending generation the head because its recipe came again.
func (s *Store) advance(ctx context.Context, p *parts, id module.ID, head auth.SignedRoot, parent merkle.Hash,
	fetch func(put func(i int, sealed []byte) error) error, check func(*module.Module) error) error {
	if err := sameRecipe(p.recipe, p.base); err != nil {
		return err
	}
	if err := fetch(p.put); err != nil { // what comes is here
		return err
	}
	if err := checkAs(p.base.WithVerified(p.base, nil), p.more, id, check); err != nil {
		return err
	}
	p.more.Close() // Windows renames no open file
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
		return fmt.Errorf("the recipe is another one than that of the pending generation: %w", module.ErrVerify)
	}
	return nil
}

// parts is a generation on its way that comes as recipe and chunks.
type parts struct {
	in     *incoming // nil: what comes is only looked at
	recipe *module.Recipe
	base   *module.Recipe // nil: none
	more   *packdir.Alone // chunks that only the base has; nil: none
	keep   bool           // what came of a broken fetch

	mu sync.Mutex
}

// accept fetches the chunks and has the module checked.
func (p *parts) accept(ctx context.Context, id module.ID, fetch func(put func(i int, sealed []byte) error) error, check func(*module.Module) error) error {
	err := fetch(func(i int, sealed []byte) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return p.put(i, sealed)
	})
	if err == nil {
		err = p.complete(ctx)
	}
	if err != nil {
		p.in.keep = p.in.pack.Flush() == nil && p.keep
		return err
	}
	if err := p.in.pack.EndChunks(); err != nil {
		return err
	}
	came := func(c module.Chunk) bool { return p.in.pack.Has(c.ID) }
	if err := checkAs(p.recipe.WithVerified(p.base, came), p.in, id, check); err != nil {
		return err
	}
	return p.in.seal()
}

// checkAs has a module checked that must be id.
func checkAs(r *module.Recipe, src module.ChunkSource, id module.ID, check func(*module.Module) error) error {
	mod, err := r.Module(src)
	if err != nil {
		return err
	}
	if check != nil {
		if err := check(mod); err != nil {
			return err
		}
	}
	if r.ID() != id {
		return fmt.Errorf("the module is %s, want %s: %w", r.ID(), id, module.ErrVerify)
	}
	return nil
}

// put takes a chunk.
func (p *parts) put(i int, sealed []byte) error {
	pool := p.recipe.Pool()
	if i < 0 || i >= len(pool) {
		return fmt.Errorf("chunk %d of %d: %w", i, len(pool), module.ErrVerify)
	}
	c := pool[i]
	if int64(len(sealed)) != int64(c.Len) {
		return fmt.Errorf("chunk %s has %d bytes, want %d: %w", c.ID, len(sealed), c.Len, module.ErrVerify)
	}
	if got := merkle.Sum(sealed); got != c.ID {
		return fmt.Errorf("chunk %s has the hash %s: %w", c.ID, got, module.ErrVerify)
	}
	if p.in == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.in.packs != nil {
		if had, err := p.in.packs.Holds(c); had || err != nil {
			return err
		}
	}
	if p.in.pack.Has(c.ID) {
		return nil
	}
	return p.in.pack.Add(c.ID, sealed)
}

// complete makes sure that every chunk is there, and copies what only the base has.
func (p *parts) complete(ctx context.Context) error {
	var buf []byte
	for i, c := range p.recipe.Pool() {
		if p.in.pack.Has(c.ID) {
			continue
		}
		if p.in.packs != nil {
			if had, err := p.in.packs.Holds(c); err != nil {
				return err
			} else if had {
				continue
			}
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		sealed, ok, err := p.more.Read(c, buf)
		if err == nil && !ok {
			err = packdir.Missing(c)
		}
		if err == nil {
			err = p.put(i, sealed)
		}
		if err != nil {
			return err
		}
		buf = sealed[:0]
	}
	return nil
}

// openParts begins to receive the chunks of r in dir, or goes on with what is there.
func openParts(fsys diskfs.FS, dir string, packs *packdir.Dir, r *module.Recipe) (*incoming, error) {
	return beginIncoming(fsys, dir, packs, func(in *incoming) error { return in.collect(r) })
}

// collect takes up what came of the chunks of r.
func (in *incoming) collect(r *module.Recipe) error {
	name := filepath.Join(in.dir, incomingPack)
	had, end, err := collected(in.fs, name, r)
	if err != nil {
		return err
	}
	if len(had) == 0 {
		return in.start()
	}
	in.pack, err = packdir.Reopen(in.fs, name, had, end)
	return err
}

// collected reads an unfinished pack of chunks of r, up to where something else begins, and hashes them.
func collected(fsys diskfs.FS, name string, r *module.Recipe) (had []pack.Entry, end int64, err error) {
	f, err := fsys.OpenFile(name, openRead, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("take up a transfer: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, fmt.Errorf("take up a transfer: %w", err)
	}
	want := make(map[merkle.Hash]uint32, len(r.Pool()))
	for _, c := range r.Pool() {
		want[c.ID] = c.Len
	}
	had, end, err = pack.ReadUnfinished(f, info.Size(), func(id merkle.Hash) (uint32, bool) {
		n, ok := want[id]
		return n, ok
	})
	if err != nil {
		return nil, 0, fmt.Errorf("take up a transfer: %w", err)
	}
	return had, end, nil
}
