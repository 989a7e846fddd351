package digstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/BurntSushi/toml"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/diskfs"
)

// DefaultOrigin is the URL of the remote "origin" if none is set.
const DefaultOrigin = "https://rpc.dig.net"

// remotesFile is remotes.toml.
type remotesFile struct {
	Remotes map[string]string `toml:"remotes"`
	// PushForms has the form of push signature that an origin accepts. The reference implementation
	// reads only [remotes].
	PushForms map[string]auth.PushForm `toml:"push_forms,omitempty"`
}

// maxPushForms is the number of origins for which a form is stored.
const maxPushForms = 64

func (s *Store) remotesName() string { return filepath.Join(s.dir.Path, "remotes.toml") }

// Remotes returns the URLs of the remotes by name, as they were given to AddRemote.
func (s *Store) Remotes() (map[string]string, error) {
	f, err := s.readRemotes()
	return f.Remotes, err
}

func (s *Store) readRemotes() (remotesFile, error) {
	f := remotesFile{Remotes: map[string]string{}, PushForms: map[string]auth.PushForm{}}
	text, err := diskfs.ReadFile(s.w.fs, s.remotesName(), maxConfig)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return f, fmt.Errorf("read remotes: %w", err)
	}
	if err := toml.Unmarshal(text, &f); err != nil {
		return f, corrupt(s.remotesName(), "%v", err)
	}
	return f, nil
}

// PushForm returns the form of push signature that an origin (scheme://host[:port]) accepted last,
// "" if it is unknown.
func (s *Store) PushForm(_ context.Context, origin string) (auth.PushForm, error) {
	f, err := s.readRemotes()
	if err != nil {
		return "", err
	}
	return f.PushForms[origin], nil
}

// KeepPushForm stores the form of push signature that an origin accepts, in remotes.toml. Of more
// than 64 origins some are dropped.
func (s *Store) KeepPushForm(ctx context.Context, origin string, form auth.PushForm) error {
	return s.changeRemotes(ctx, func(f *remotesFile) error {
		for other := range f.PushForms {
			if len(f.PushForms) < maxPushForms {
				break
			}
			delete(f.PushForms, other)
		}
		f.PushForms[origin] = form
		return nil
	})
}

// Remote returns the URL of a remote. If "origin" is not set, it is DefaultOrigin. Another unknown
// name is fs.ErrNotExist.
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

// AddRemote sets a remote. A name that is set to another URL is fs.ErrExist.
func (s *Store) AddRemote(ctx context.Context, name, url string) error {
	if err := checkName(name); err != nil {
		return fmt.Errorf("add remote: %w", err)
	}
	return s.changeRemotes(ctx, func(f *remotesFile) error {
		if old, ok := f.Remotes[name]; ok && old != url {
			return fmt.Errorf("add remote %q: it is %s: %w", name, old, fs.ErrExist)
		}
		f.Remotes[name] = url
		return nil
	})
}

// RemoveRemote removes a remote. An unknown name is fs.ErrNotExist.
func (s *Store) RemoveRemote(ctx context.Context, name string) error {
	return s.changeRemotes(ctx, func(f *remotesFile) error {
		if _, ok := f.Remotes[name]; !ok {
			return fmt.Errorf("remove remote %.100q: %w", name, fs.ErrNotExist)
		}
		delete(f.Remotes, name)
		return nil
	})
}

func (s *Store) changeRemotes(ctx context.Context, change func(*remotesFile) error) error {
	l, err := s.dir.Lock(ctx)
	if err != nil {
		return fmt.Errorf("change remotes: %w", err)
	}
	defer l.Close()
	f, err := s.readRemotes()
	if err != nil {
		return err
	}
	if err := change(&f); err != nil {
		return err
	}
	if err := writeTOML(s.w.fs, s.remotesName(), f); err != nil {
		return fmt.Errorf("change remotes: %w", err)
	}
	return nil
}
