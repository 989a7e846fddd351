package digstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

func isNotHeld(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// Export writes a generation as a plain .dig module, bit for bit what was committed or received,
// and returns its length. It is verified before a byte is written: damage on the disk is
// module.ErrVerify or ErrCorrupt.
func (s *Store) Export(ctx context.Context, root merkle.Hash, w io.Writer,
	progress func(done, total int64)) (int64, error) {
	g, err := s.At(root)
	if err != nil {
		return 0, fmt.Errorf("export: %w", err)
	}
	if err := g.mod.Verify(ctx); err != nil {
		return 0, fmt.Errorf("export %s: %w", root, err)
	}
	r := g.mod.Reader()
	total, done := r.Size(), int64(0)
	buf := make([]byte, 1<<20)
	if progress != nil {
		progress(0, total)
	}
	for {
		if err := ctx.Err(); err != nil {
			return done, context.Cause(ctx)
		}
		n, err := r.Read(buf)
		if n > 0 {
			if _, werr := w.Write(buf[:n]); werr != nil {
				return done, fmt.Errorf("export %s: %w", root, werr)
			}
			done += int64(n)
			if progress != nil {
				progress(done, total)
			}
		}
		if err == io.EOF {
			return done, nil
		}
		if err != nil {
			return done, fmt.Errorf("export %s: %w", root, err)
		}
	}
}

// Import takes a plain .dig module of this store, verifies all of it and keeps it: as the newest
// generation or, when its line is in the history but it is not held, in that line's place. The
// module must be signed by the store's publisher where that key is known; signed carries signatures
// for the root, and may be zero. A generation that is held already is fs.ErrExist.
func (s *Store) Import(ctx context.Context, r io.Reader, signed auth.SignedRoot,
	progress func(done, total int64)) (*Generation, error) {
	if err := s.sweepNow(ctx); err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	in, err := s.receiveNew(ctx)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	defer in.Close()
	recipe, err := in.Decompose(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	root := recipe.Root()
	if recipe.ID().Store != s.set.id {
		return nil, fmt.Errorf("import: the module is of store %s, this is %s: %w", recipe.ID().Store,
			s.set.id, module.ErrVerify)
	}
	want, err := s.publisher()
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	if !want.IsZero() && want != recipe.PublicKey() {
		return nil, fmt.Errorf("import: the module is of key %08x, the store's is %08x: %w",
			recipe.PublicKey().Fingerprint(), want.Fingerprint(), auth.ErrForbidden)
	}
	mod, err := recipe.Module(in)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	if err := mod.VerifyProgress(ctx, progress); err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	if err := checkSignatures(signed, recipe); err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	signed.Root = root
	if err := s.checkRevoked(root); err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	if err := in.Seal(); err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	l, h, err := s.lockSwept(ctx) // what comes may be what is missing
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	defer l.Close()
	line, ok, err := h.Find(root)
	if err == nil && !ok {
		line = s.nextLine(h, root)
		err = s.checkHead(h)
	}
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	lines, err := s.newLines(h, []module.Generation{line})
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	if err := s.learnListed(in, recipe); err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	a := &arrival{recipe: recipe, head: signed, lines: lines}
	if err := s.keepIncoming(ctx, h, in, a); err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	if want.IsZero() && !recipe.PublicKey().IsZero() {
		if err := s.writePins(module.Pins{Publisher: recipe.PublicKey()}); err != nil {
			return nil, fmt.Errorf("import: %w", err)
		}
	}
	return s.open(line)
}

// checkSignatures verifies the signatures that came with a module. None are no error.
func checkSignatures(signed auth.SignedRoot, recipe *module.Recipe) error {
	if signed.Root.IsZero() {
		return nil
	}
	id := module.ID{Store: signed.Store, Root: signed.Root}
	if id != recipe.ID() || signed.PublicKey != recipe.PublicKey() {
		return fmt.Errorf("the signatures are of %s, not of %s: %w", signed.Root,
			recipe.Root(), auth.ErrSignature)
	}
	return signed.Check()
}

// VerifyOptions say how much is verified. nil: the leaves and the signature.
type VerifyOptions struct {
	// Deep reads and hashes every chunk too.
	Deep bool
	// Progress is called with bytes hashed and to be hashed.
	Progress func(done, total int64)
}

// A VerifyReport says what was found good.
type VerifyReport struct {
	Generation module.Generation
	Signed     bool  // a signature is kept, and it verifies under the module's key
	Bytes      int64 // of the module
	Resources  int
}

// Verify checks a generation as it lies on disk: that its leaves make its root, with Deep that
// every resource's bytes make its leaf (module/FORMAT.md 7.2), and that the signature that is kept
// is the publisher's. What fails is module.ErrVerify, module.ErrFormat or auth.ErrSignature.
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
		err = s.checkSigned(g.info)
	}
	if err != nil {
		return nil, fmt.Errorf("verify %s: %w", root, err)
	}
	return rep, nil
}

// checkChunks checks that the packs have every chunk of a generation, without reading them.
func (s *Store) checkChunks(g *Generation) error {
	if g.recipe == nil {
		return nil // the module lies in one file, which was opened
	}
	for _, c := range g.recipe.Pool() {
		held, err := s.packs.Holds(c)
		if err == nil && !held {
			_, _, err = s.packs.Chunk(c) // written by another process since, or of the older layout
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// verify verifies a generation, which may be one that no history names yet.
func (s *Store) verify(ctx context.Context, g *Generation,
	o *VerifyOptions) (*VerifyReport, error) {
	root := g.info.Root
	var err error
	rep := &VerifyReport{Generation: g.info, Bytes: g.mod.Size()}
	if want := (module.ID{Store: s.set.id, Root: root}); g.mod.ID() != want {
		return nil, fmt.Errorf("verify: %w: the module is %s, want %s",
			module.ErrVerify, g.mod.ID(), want)
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
	sigs, err := s.readSigs(root)
	if err != nil {
		return nil, fmt.Errorf("verify %s: %w", root, err)
	}
	if sigs.Tagged.IsZero() && sigs.Untagged.IsZero() {
		return rep, nil
	}
	sigs.PublicKey = g.PublicKey()
	if err := sigs.Check(); err != nil {
		return nil, fmt.Errorf("verify %s: %s: %w", root, filepath.Base(s.sigName(root, true)), err)
	}
	rep.Signed = true
	return rep, nil
}
