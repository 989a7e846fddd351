package digstore

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/dig-network/digstore/digstore/internal/incoming"
	"github.com/dig-network/digstore/merkle"
)

// partDir is the directory of an Install.
func (s *Store) partDir(root merkle.Hash) string {
	return filepath.Join(s.dir, incoming.Dir, root.String())
}

// Held returns how many leading bytes of the module of root are kept from an Install that broke
// off; the next Install of that root is given a reader that starts there.
func (s *Store) Held(_ context.Context, root merkle.Hash) (int64, error) {
	return incoming.Held(s.w.fs, s.partDir(root), s.packs)
}

// Discard throws away what is kept of an Install or Assemble of root that broke off. Nothing kept
// is no error.
func (s *Store) Discard(ctx context.Context, root merkle.Hash) error {
	for _, dir := range []string{s.partDir(root), s.chunksDir(root)} {
		if err := incoming.Clear(ctx, s.w.fs, dir); err != nil {
			return fmt.Errorf("discard: %w", err)
		}
	}
	return nil
}

// chunksDir is the directory of an Assemble.
func (s *Store) chunksDir(root merkle.Hash) string {
	return s.partDir(root) + incoming.ChunksExt
}

// incomingDir is the directory of the transfers into the store.
func (s *Store) incomingDir() string { return filepath.Join(s.dir, incoming.Dir) }

// receiveNew begins a transfer that is not continued.
func (s *Store) receiveNew(ctx context.Context) (*incoming.Transfer, error) {
	return incoming.New(ctx, s.w.fs, s.dir, s.packs, s.w.rand)
}

// receiveFirst begins the first transfer of a store that is not here yet, after it has removed what
// broke off.
func (w *Workspace) receiveFirst(ctx context.Context) (*incoming.Transfer, error) {
	dir := filepath.Join(w.dot, incoming.Dir)
	if err := incoming.Sweep(ctx, w.fs, dir, incoming.None); err != nil {
		return nil, err
	}
	return incoming.New(ctx, w.fs, w.dot, nil, w.rand)
}

// sweepIncoming removes what is left of transfers: of pushes, and of roots that are held by now.
func (s *Store) sweepIncoming(ctx context.Context) error {
	return incoming.Sweep(ctx, s.w.fs, s.incomingDir(), func(name string) bool {
		root, err := merkle.ParseHash(strings.TrimSuffix(name, incoming.ChunksExt))
		if err != nil {
			return false
		}
		there, err := s.holds(root)
		return err != nil || !there
	})
}
