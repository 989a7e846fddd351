package digstore

import (
	"context"
	"fmt"
	"io"
)

// Staged is a resource of the next commit.
type Staged struct {
	Name string // the resource key
	Size int64  // bytes of content
}

// Staged returns the resources of the next commit, in the order in which they were staged.
func (s *Store) Staged() ([]Staged, error) {
	recs, err := s.staging.Read()
	if err != nil {
		return nil, err
	}
	list := make([]Staged, len(recs))
	for i, r := range recs {
		list[i] = Staged{r.Name, r.Size}
	}
	return list, nil
}

// Stage adds a resource to the next commit, in place of a staged one of the same name. A generation
// has exactly the resources that were staged for it; none is copied from the generation before.
func (s *Store) Stage(ctx context.Context, name string, r io.Reader) error {
	return s.stage(ctx, func(add func(string, io.Reader) error) error { return add(name, r) })
}

// stage calls each, which adds resources, under the lock of the store. Those that were added
// completely stay, also if each returns an error.
func (s *Store) stage(ctx context.Context,
	each func(add func(string, io.Reader) error) error) error {
	l, err := s.dir.Lock(ctx)
	if err != nil {
		return fmt.Errorf("stage: %w", err)
	}
	defer l.Close()
	return s.staging.Append(ctx, each)
}

// Unstage removes resources from the next commit, without names all of them, and returns how many
// it removed. A name that is not staged is fs.ErrNotExist, and then nothing changes.
func (s *Store) Unstage(ctx context.Context, names ...string) (int, error) {
	l, err := s.dir.Lock(ctx)
	if err != nil {
		return 0, fmt.Errorf("unstage: %w", err)
	}
	defer l.Close()
	return s.staging.Remove(ctx, names)
}
