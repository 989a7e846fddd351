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

// Salt returns a copy of the secret salt. It is nil if the store is public, or the clone of a
// private store without the salt.
func (s *Store) Salt() *urn.Salt {
	known := s.salts.current()
	if known == nil {
		return nil
	}
	salt := *known
	return &salt
}

// saltMemo has the salt as it was when the settings were read last.
type saltMemo struct {
	w   *Workspace
	dir string // of the store

	mu    sync.Mutex
	salt  *urn.Salt // nil: none
	size  int64     // of the settings
	mtime time.Time
}

// current returns the salt; nil if there is none. It reads the settings again if they have changed,
// for example by an import of another process. Settings that cannot be read change nothing. The
// result must not be changed.
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

// readSettings reads the settings, and stores their salt.
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

// ImportSalt stores the secret salt of a private store in a clone of it. The store is then private
// and can be read, in this process and in others that have it open. With a wrong salt reading a
// resource returns urn.ErrSealed, and another salt can be imported. If the publisher key is here,
// another salt is fs.ErrExist.
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
