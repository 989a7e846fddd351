package digstore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/dig-network/digstore/internal/diskfs"
)

// Migrate changes the workspace of the folder dir from the oldest layout of the reference
// implementation, with one store in .dig itself, to the present one, where that store is named
// "default". It reports whether there was something to change. An interrupted migration is resumed.
// Errors are those of Open.
func Migrate(ctx context.Context, dir string, o *Options) (bool, error) {
	w := newWorkspace(dir, o)
	switch err := w.checkDot(); {
	case err == nil:
		return false, nil
	case !errors.Is(err, ErrOldLayout):
		return false, fmt.Errorf("migrate %s: %w", dir, err)
	}
	if err := w.migrate(ctx); err != nil {
		return false, fmt.Errorf("migrate %s: %w", dir, err)
	}
	return true, nil
}

// migrate moves the store to stores/default (LAYOUT.md 13.3). config.toml moves last, so that an
// interrupted migration is resumed.
func (w *Workspace) migrate(ctx context.Context) error {
	set, err := w.readConfig(w.dot)
	if err != nil {
		return err
	}
	if err := w.checkDirs(w.dot); err != nil {
		return err
	}
	l, err := w.lock(ctx, filepath.Join(w.dot, "lock"))
	if err != nil {
		return err
	}
	defer l.Close()
	to := filepath.Join(w.dot, "stores", "default")
	if err := diskfs.MkdirAll(w.fs, to, 0o755); err != nil {
		return err
	}
	list, err := w.fs.ReadDir(w.dot)
	if err != nil {
		return err
	}
	for _, e := range list {
		switch e.Name() {
		case "stores", "workspace.toml", "lock", "config.toml":
		default:
			if err := w.fs.Rename(filepath.Join(w.dot, e.Name()), filepath.Join(to, e.Name())); err != nil {
				return err
			}
		}
	}
	reg, err := readRegistry(w.fs, w.dot)
	if err != nil {
		return err
	}
	reg.Stores["default"] = regStore{ID: set.id.String()}
	if reg.Active == "" {
		reg.Active = "default"
	}
	if err := errors.Join(w.fs.SyncDir(to), w.fs.SyncDir(w.dot)); err != nil {
		return err
	}
	if err := writeTOML(w.fs, w.registryName(), reg); err != nil {
		return err
	}
	if err := w.fs.Rename(filepath.Join(w.dot, "config.toml"),
		filepath.Join(to, "config.toml")); err != nil {
		return err
	}
	return errors.Join(w.fs.SyncDir(to), w.fs.SyncDir(w.dot))
}
