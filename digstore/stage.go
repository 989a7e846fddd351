package digstore

import (
	"context"
	"fmt"
	"io"
)

// A Staged resource waits for the next commit.
type Staged struct {
	Name string // the resource key
	Size int64  // bytes of content
}

// Staged lists what the next commit holds, in the order in which it was staged.
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

// Stage adds a resource to the next commit, in place of one of the same name that is staged
// already. A generation holds exactly what is staged for it; nothing is carried over from the one
// before.
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

// Unstage takes resources out of the next commit and returns how many it took; without names all of
// them. A name that is not staged is fs.ErrNotExist, and then nothing is changed.
func (s *Store) Unstage(ctx context.Context, names ...string) (int, error) {
	l, err := s.dir.Lock(ctx)
	if err != nil {
		return 0, fmt.Errorf("unstage: %w", err)
	}
	defer l.Close()
	return s.staging.Remove(ctx, names)
}
