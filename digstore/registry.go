package digstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/internal/filestamp"
	"github.com/dig-network/digstore/digstore/internal/smallfile"
	"github.com/dig-network/digstore/internal/diskfs"
)

// registry is workspace.toml.
type registry struct {
	Active string              `toml:"active,omitempty"`
	Stores map[string]regStore `toml:"stores,omitempty"`
}

type regStore struct {
	ID          string `toml:"id"`
	ContentRoot string `toml:"content_root,omitempty"`
}

// taken returns the store whose name equals name except for upper and lower case. On many systems
// both would have one directory.
func (r *registry) taken(name string) (string, bool) {
	for other := range r.Stores {
		if strings.EqualFold(other, name) {
			return other, true
		}
	}
	return "", false
}

func readRegistry(fsys diskfs.FS, dir string) (registry, error) {
	r := registry{Stores: map[string]regStore{}}
	name := filepath.Join(dir, "workspace.toml")
	text, err := smallfile.Read(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, fmt.Errorf("read workspace: %w", err)
	}
	if err := toml.Unmarshal(text, &r); err != nil {
		return r, corrupt(name, "%v", err)
	}
	for n, e := range r.Stores {
		if checkName(n) != nil {
			return r, corrupt(name, "store name %q", n)
		}
		if _, err := auth.ParseStoreID(e.ID); err != nil {
			return r, corrupt(name, "id of store %q: %v", n, err)
		}
	}
	if r.Stores == nil {
		r.Stores = map[string]regStore{}
	}
	return r, nil
}

func (w *Workspace) registryName() string { return filepath.Join(w.dot, "workspace.toml") }

// refresh reads workspace.toml again if it has changed. The caller does not hold mu.
func (w *Workspace) refresh() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refreshLocked()
}

func (w *Workspace) refreshLocked() error {
	var stamp filestamp.Stamp
	info, err := w.fs.Stat(w.registryName())
	switch {
	case err == nil:
		stamp = filestamp.Of(info)
	case errors.Is(err, fs.ErrNotExist):
		stamp.Known = true
	default:
		return err
	}
	if stamp == w.stamp {
		return nil
	}
	reg, err := readRegistry(w.fs, w.dot)
	if err != nil {
		return err
	}
	w.stamp, w.reg = stamp, reg
	return nil
}

// update changes workspace.toml under the lock of the workspace.
func (w *Workspace) update(ctx context.Context, change func(*registry) error) error {
	if err := w.checkDirs(filepath.Join(w.dot, "stores")); err != nil {
		return err
	}
	l, err := w.lock(ctx, filepath.Join(w.dot, "lock"))
	if err != nil {
		return err
	}
	defer l.Close()
	reg, err := readRegistry(w.fs, w.dot)
	if err != nil {
		return err
	}
	hidden, err := w.hideRemoved(&reg)
	if err != nil && !diskfs.InUse(err) {
		return err
	}
	for _, dir := range hidden {
		_ = diskfs.RemoveAll(w.fs, dir) // the next change tries again
	}
	if err := change(&reg); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stamp = filestamp.Stamp{} // whatever happens below, read it again
	if err := writeTOML(w.fs, w.registryName(), reg); err != nil {
		return fmt.Errorf("write workspace: %w", err)
	}
	return w.refreshLocked()
}

// find returns the name of a store, given its name or its id in hex. "" is the active store.
func (w *Workspace) find(nameOrID string) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.refreshLocked(); err != nil {
		return "", err
	}
	name := nameOrID
	if name == "" {
		name = w.reg.Active
		if name == "" && len(w.reg.Stores) == 1 {
			for only := range w.reg.Stores {
				name = only
			}
		}
		if name == "" {
			return "", fmt.Errorf("no store is active: %w", fs.ErrNotExist)
		}
	}
	if _, ok := w.reg.Stores[name]; ok {
		return name, nil
	}
	if id, err := auth.ParseStoreID(name); err == nil {
		for n, e := range w.reg.Stores {
			if other, err := auth.ParseStoreID(e.ID); err == nil && other == id {
				return n, nil
			}
		}
	}
	return "", fmt.Errorf("store %.200q in %s: %w", name, w.dir, fs.ErrNotExist)
}

func (w *Workspace) names() ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.refreshLocked(); err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(w.reg.Stores)), nil
}

// ids lists the stores that workspace.toml names.
func (w *Workspace) ids() ([]auth.StoreID, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.refreshLocked(); err != nil {
		return nil, err
	}
	var ids []auth.StoreID
	for _, name := range slices.Sorted(maps.Keys(w.reg.Stores)) {
		id, err := auth.ParseStoreID(w.reg.Stores[name].ID)
		if err != nil {
			return nil, fmt.Errorf("list stores: %w: workspace.toml: id of store %q: %w",
				ErrCorrupt, name, err)
		}
		ids = append(ids, id)
	}
	return ids, nil
}
