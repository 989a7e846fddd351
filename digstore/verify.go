package digstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// VerifyOptions say how much is verified. nil: the leaves, the signature, and whether all chunks
// exist.
type VerifyOptions struct {
	// Deep reads and hashes every chunk too.
	Deep bool
	// Progress is called with the bytes that are hashed and that are to be hashed.
	Progress func(done, total int64)
}

// A VerifyReport says what was verified.
type VerifyReport struct {
	Generation module.Generation
	Signed     bool  // a signature is kept, and it verifies under the module's key
	Bytes      int64 // of the module
	Resources  int
}

// Verify verifies a generation on the disk: that its leaves have its root, with Deep that the bytes
// of every resource have its leaf (module/FORMAT.md 7.2), and that the stored signature is that of
// the publisher. Errors are module.ErrVerify, module.ErrFormat, auth.ErrSignature and ErrCorrupt.
func (s *Store) Verify(ctx context.Context, root merkle.Hash,
	o *VerifyOptions) (*VerifyReport, error) {
	if o == nil {
		o = &VerifyOptions{}
	}
	g, err := s.At(root)
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	rep, err := s.verify(ctx, g, o)
	if err != nil {
		return nil, err
	}
	if !rep.Signed {
		err = s.dir.CheckSigned(g.info)
	}
	if err != nil {
		return nil, fmt.Errorf("verify %s: %w", root, err)
	}
	return rep, nil
}

// checkChunks returns an error if the packs lack a chunk of a generation. It does not read the
// chunks.
func (s *Store) checkChunks(g *Generation) error {
	if g.recipe == nil {
		return nil // the module is one file, which is open
	}
	for _, c := range g.recipe.Pool() {
		held, err := s.dir.Packs.Holds(c)
		if err == nil && !held {
			_, _, err = s.dir.Packs.Chunk(c) // written by another process since, or of the older layout
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// verify verifies a generation, which need not be in the history.
func (s *Store) verify(ctx context.Context, g *Generation,
	o *VerifyOptions) (*VerifyReport, error) {
	root := g.info.Root
	var err error
	rep := &VerifyReport{Generation: g.info, Bytes: g.mod.Size()}
	if want := (module.ID{Store: s.set.id, Root: root}); g.mod.ID() != want {
		return nil, fmt.Errorf("verify: %w: expected module %s, found %s",
			module.ErrVerify, want, g.mod.ID())
	}
	if o.Deep {
		err = g.mod.VerifyProgress(ctx, o.Progress)
	} else if err = g.mod.VerifyLeaves(); err == nil {
		err = s.checkChunks(g)
	}
	if err != nil {
		return nil, fmt.Errorf("verify %s: %w", root, err)
	}
	if rep.Resources, err = g.mod.Len(); err != nil {
		return nil, fmt.Errorf("verify %s: %w", root, err)
	}
	sigs, err := s.dir.Signatures.Read(root)
	if err != nil {
		return nil, fmt.Errorf("verify %s: %w", root, err)
	}
	if sigs.Tagged.IsZero() && sigs.Untagged.IsZero() {
		return rep, nil
	}
	sigs.PublicKey = g.PublicKey()
	if err := sigs.Check(); err != nil {
		file := filepath.Base(s.dir.Signatures.Path(root, true))
		return nil, fmt.Errorf("verify %s: %s: %w", root, file, err)
	}
	rep.Signed = true
	return rep, nil
}

// CheckStore reads the tombstones of a store, and the footer and the index of each of its packs,
// and looks for the chunks of its head in them. It hashes no chunk. Damage is ErrCorrupt, an
// unknown store fs.ErrNotExist.
func (w *Workspace) CheckStore(ctx context.Context, id auth.StoreID) error {
	s, err := w.store(id)
	if err != nil {
		return err
	}
	names, err := s.dir.Packs.Names()
	if err != nil {
		return fmt.Errorf("check store %s: %w", s.name, err)
	}
	for _, name := range names {
		_, err := s.dir.Packs.ReadIndex(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // gc may have removed it
			return fmt.Errorf("check store %s: %w", s.name, err)
		}
	}
	if _, err := s.Tombstones(ctx, id); err != nil {
		return fmt.Errorf("check store %s: %w", s.name, err)
	}
	head, err := s.Head(ctx)
	if err != nil || head.Root.IsZero() {
		return err
	}
	h, err := s.dir.Recipes.Read(head.Root)
	if errors.Is(err, fs.ErrNotExist) { // written by the reference implementation, or not held
		return nil
	}
	if err != nil {
		return err
	}
	s.dir.Packs.Reload()
	for _, c := range h.Recipe.Pool() {
		if _, _, err := s.dir.Packs.Chunk(c); errors.Is(err, fs.ErrNotExist) {
			return corrupt(s.dir.Packs.Path(), "no pack has chunk %s of generation %s", c.ID, head.Root)
		} else if err != nil {
			return err
		}
	}
	return nil
}
