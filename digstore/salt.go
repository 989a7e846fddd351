package digstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"github.com/dig-network/digstore/digstore/urn"
)

// Salt returns a copy of the secret salt of a private store; nil when the store is public, or is
// the clone of a private one that nobody has given the salt.
func (s *Store) Salt() *urn.Salt {
	known := s.salts.current()
	if known == nil {
		return nil
	}
	salt := *known
	return &salt
}

// A saltMemo is the salt as the settings had it when they were read last.
type saltMemo struct {
	w   *Workspace
	dir string // of the store

	mu    sync.Mutex
	salt  *urn.Salt // nil: none
	size  int64     // of the settings
	mtime time.Time
}

// current returns the salt; nil if there is none. It reads the settings again when they have
// changed, as an import by another process changes them; settings that cannot be read change
// nothing. What it returns must not be written to.
func (m *saltMemo) current() *urn.Salt {
	info, err := m.w.fs.Stat(filepath.Join(m.dir, configFile))
	m.mu.Lock()
	same := err != nil || info.Size() == m.size && info.ModTime().Equal(m.mtime)
	m.mu.Unlock()
	if !same {
		_, _ = m.readSettings()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.salt
}

// readSettings reads the settings, and remembers their salt.
func (m *saltMemo) readSettings() (settings, error) {
	info, err := m.w.fs.Stat(filepath.Join(m.dir, configFile))
	if err != nil {
		return settings{}, fmt.Errorf("read store settings: %w", err)
	}
	set, err := m.w.readConfig(m.dir)
	if err != nil {
		return settings{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.salt, m.size, m.mtime = set.salt, info.Size(), info.ModTime()
	return set, nil
}

// ImportSalt keeps the secret salt of a private store in a clone of it, which makes the clone
// readable: the store is private and has the salt, in this process and in others that have it open.
// A wrong salt shows as urn.ErrSealed when a resource is read, and another one takes its place;
// where the publisher key is, another salt is fs.ErrExist.
func (s *Store) ImportSalt(ctx context.Context, salt *urn.Salt) error {
	l, err := s.dir.Lock(ctx)
	if err != nil {
		return fmt.Errorf("import salt: %w", err)
	}
	defer l.Close()
	set, err := s.w.readConfig(s.dir.Path)
	if err != nil {
		return fmt.Errorf("import salt: %w", err)
	}
	same := set.salt != nil && *set.salt == *salt
	if !same {
		switch _, err := s.keys.Publisher(); {
		case err == nil:
			return fmt.Errorf(
				"import salt: store %s has its publisher key and another salt: %w",
				s.name, fs.ErrExist)
		case !errors.Is(err, ErrNoKey):
			return fmt.Errorf("import salt: %w", err)
		}
	}
	if err := s.w.fs.Remove(filepath.Join(s.dir.Path, saltFile)); err != nil &&
		!errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("import salt: %w", err)
	}
	if err := s.w.fs.SyncDir(s.dir.Path); err != nil {
		return fmt.Errorf("import salt: %w", err)
	}
	set.salt = salt
	if err := set.write(s.w.fs, s.dir.Path); err != nil {
		return fmt.Errorf("import salt: %w", err)
	}
	return nil
}
