package digstore

import (
	"context"
	"fmt"
	"io"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/internal/receive"
	"github.com/dig-network/digstore/digstore/module"
)

// Import reads a plain .dig module of this store, verifies it completely and stores it: as the
// newest generation or, if its line is in the history but it is not held, for that line. If the
// publisher key of the store is known, the module must have it. signed has signatures of the root,
// and may be zero. A generation that is held already is fs.ErrExist.
func (s *Store) Import(ctx context.Context, r io.Reader, signed auth.SignedRoot,
	progress func(done, total int64)) (*Generation, error) {
	if err := s.dir.Sweep(ctx); err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	in, err := s.dir.Receive(ctx)
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
		return nil, fmt.Errorf("import: module: expected store %s, found %s: %w", s.set.id,
			recipe.ID().Store, module.ErrVerify)
	}
	want, err := s.publisher()
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	if !want.IsZero() && want != recipe.PublicKey() {
		return nil, fmt.Errorf("import: module: expected publisher key %08x, found %08x: %w",
			want.Fingerprint(), recipe.PublicKey().Fingerprint(), auth.ErrForbidden)
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
	line, err := receive.Import(ctx, s.dir,
		&receive.Imported{Transfer: in, Recipe: recipe, Signed: signed, Pin: want.IsZero()})
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	return s.open(line)
}

// checkSignatures verifies the signatures of a module. A zero signature is no error.
func checkSignatures(signed auth.SignedRoot, recipe *module.Recipe) error {
	if signed.Root.IsZero() {
		return nil
	}
	id := module.ID{Store: signed.Store, Root: signed.Root}
	if id != recipe.ID() || signed.PublicKey != recipe.PublicKey() {
		return fmt.Errorf("signatures: expected root %s, found %s: %w", recipe.Root(),
			signed.Root, auth.ErrSignature)
	}
	return signed.Check()
}
