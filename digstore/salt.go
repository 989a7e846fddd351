package digstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/dig-network/digstore/digstore/urn"
)

// Salt returns a copy of the secret salt of a private store; nil when the store is public, or is the clone of a
// private one that nobody has given the salt.
func (s *Store) Salt() *urn.Salt {
	if s.set.salt == nil {
		return nil
	}
	salt := *s.set.salt
	return &salt
}

// ImportSalt keeps the secret salt of a private store in a clone of it, which makes the clone readable: the next
// time that the workspace is opened, the store is private and has the salt. A wrong salt shows as urn.ErrSealed when
// a resource is read, and another one takes its place; where the publisher key is, another salt is fs.ErrExist.
func (s *Store) ImportSalt(ctx context.Context, salt *urn.Salt) error {
	l, err := s.lock(ctx)
	if err != nil {
		return fmt.Errorf("import salt: %w", err)
	}
	defer l.Close()
	set, err := s.w.readConfig(s.dir)
	if err != nil {
		return fmt.Errorf("import salt: %w", err)
	}
	same := set.salt != nil && *set.salt == *salt
	if !same {
		switch _, err := s.readKey(keyFile); {
		case err == nil:
			return fmt.Errorf("import salt: store %s has its publisher key here, and every address depends on its salt: %w", s.name, fs.ErrExist)
		case !errors.Is(err, ErrNoKey):
			return fmt.Errorf("import salt: %w", err)
		}
	}
	if err := s.w.fs.Remove(filepath.Join(s.dir, saltFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("import salt: %w", err)
	}
	if err := s.w.fs.SyncDir(s.dir); err != nil {
		return fmt.Errorf("import salt: %w", err)
	}
	set.salt = salt
	if err := set.write(s.w.fs, s.dir); err != nil {
		return fmt.Errorf("import salt: %w", err)
	}
	return nil
}
