package digstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/dig-network/digstore/auth"
)

// CheckStore reads the tombstones of a store, the footer and the index of each of its packs, and
// looks for the chunks of its head in them. It hashes no chunk. What is damaged is ErrCorrupt, an
// unknown store fs.ErrNotExist.
func (w *Workspace) CheckStore(ctx context.Context, id auth.StoreID) error {
	s, err := w.store(id)
	if err != nil {
		return err
	}
	names, err := s.packs.Names()
	if err != nil {
		return fmt.Errorf("check store %s: %w", s.name, err)
	}
	for _, name := range names {
		_, err := s.packs.ReadIndex(name)
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
	h, err := s.recipe(head.Root)
	if errors.Is(err, fs.ErrNotExist) { // in the form of the reference, or not held
		return nil
	}
	if err != nil {
		return err
	}
	s.packs.Reload()
	for _, c := range h.Recipe.Pool() {
		if _, _, err := s.packs.Chunk(c); errors.Is(err, fs.ErrNotExist) {
			return corrupt(s.packs.Path(), "no pack has chunk %s of generation %s", c.ID, head.Root)
		} else if err != nil {
			return err
		}
	}
	return nil
}
