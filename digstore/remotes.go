package digstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/BurntSushi/toml"

	"github.com/dig-network/digstore/internal/diskfs"
)

// DefaultOrigin is what the remote "origin" means where none is set (remote-protocol 1.7).
const DefaultOrigin = "https://rpc.dig.net"

// remotesFile is remotes.toml.
type remotesFile struct {
	Remotes map[string]string `toml:"remotes"`
}

func (s *Store) remotesName() string { return filepath.Join(s.dir, "remotes.toml") }

// Remotes returns the remotes that are set, by name, as they were given.
func (s *Store) Remotes() (map[string]string, error) {
	text, err := diskfs.ReadFile(s.w.fs, s.remotesName(), maxConfig)
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]string{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read remotes: %w", err)
	}
	f := remotesFile{Remotes: map[string]string{}}
	if err := toml.Unmarshal(text, &f); err != nil {
		return nil, corrupt(s.remotesName(), "%v", err)
	}
	return f.Remotes, nil
}

// Remote returns one remote; "origin" is DefaultOrigin when it is not set, another unknown name fs.ErrNotExist.
func (s *Store) Remote(name string) (string, error) {
	all, err := s.Remotes()
	if err != nil {
		return "", err
	}
	if url, ok := all[name]; ok {
		return url, nil
	}
	if name == "origin" {
		return DefaultOrigin, nil
	}
	return "", fmt.Errorf("remote %.100q: %w", name, fs.ErrNotExist)
}

// AddRemote sets a remote; one of that name that is there already is fs.ErrExist, unless it is the same.
func (s *Store) AddRemote(name, url string) error {
	if err := checkName(name); err != nil {
		return fmt.Errorf("add remote: %w", err)
	}
	return s.changeRemotes(func(all map[string]string) error {
		if old, ok := all[name]; ok && old != url {
			return fmt.Errorf("add remote %q: it is %s: %w", name, old, fs.ErrExist)
		}
		all[name] = url
		return nil
	})
}

// RemoveRemote takes a remote away; an unknown one is fs.ErrNotExist.
func (s *Store) RemoveRemote(name string) error {
	return s.changeRemotes(func(all map[string]string) error {
		if _, ok := all[name]; !ok {
			return fmt.Errorf("remove remote %.100q: %w", name, fs.ErrNotExist)
		}
		delete(all, name)
		return nil
	})
}

func (s *Store) changeRemotes(change func(map[string]string) error) error {
	l, err := s.lock(context.Background())
	if err != nil {
		return fmt.Errorf("change remotes: %w", err)
	}
	defer l.Close()
	all, err := s.Remotes()
	if err != nil {
		return err
	}
	if err := change(all); err != nil {
		return err
	}
	if err := writeTOML(s.w.fs, s.remotesName(), remotesFile{all}); err != nil {
		return fmt.Errorf("change remotes: %w", err)
	}
	return nil
}
