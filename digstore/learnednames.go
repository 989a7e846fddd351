package digstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/dig-network/digstore/digstore/internal/namedir"
)

// CheckNames returns an error if a file of names is damaged (ErrCorrupt) or cannot be read. Content
// does not depend on these files. The names of commits that were made here are also in their
// recipes, and the next commit adds those that are missing.
func (s *Store) CheckNames() error {
	_, damage, err := s.dir.Names.All()
	return errors.Join(err, damage)
}

// KeepNames stores the names that are known of this generation, including those of WithNames, for
// all generations of the store. It returns how many are new.
func (g *Generation) KeepNames(ctx context.Context) (int, error) {
	t, err := g.names()
	if err != nil {
		return 0, fmt.Errorf("keep names: %w", err)
	}
	kept, _, err := g.s.dir.Names.All()
	if err != nil {
		return 0, fmt.Errorf("keep names: %w", err)
	}
	fresh := namedir.Set{}
	fresh.Add(t.names)
	fresh.Remove(kept)
	if len(fresh) == 0 {
		return 0, nil
	}
	l, _, err := g.s.dir.LockSwept(ctx)
	if err != nil {
		return 0, fmt.Errorf("keep names: %w", err)
	}
	defer l.Close()
	n, err := g.s.dir.Learn(t.names)
	if err != nil {
		return 0, fmt.Errorf("keep names: %w", err)
	}
	return n, nil
}
