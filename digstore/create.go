package digstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/internal/keydir"
	"github.com/dig-network/digstore/digstore/internal/storedir"
	"github.com/dig-network/digstore/digstore/urn"
)

// StoreOptions are the settings of a new store. nil and the zero value mean the defaults.
type StoreOptions struct {
	// Name is the name of the store in its workspace. Default: its id in hex.
	Name string
	// Key is the publisher key, stored in signing_key.bin. Default: a new key if the id of the
	// store is zero, else none.
	Key *auth.Key
	// Private makes a random secret salt. The store can be read only with the salt.
	Private bool
	// Listed publishes the names of the resources with each commit (module/FORMAT.md 5.9). Not
	// allowed for a private store.
	Listed bool
	// ContentRoot is the folder that commits are made from, absolute or relative to the folder of
	// the workspace. Default: none.
	ContentRoot string
	// MaxSize is the limit of the plaintext of one generation, in bytes. Default: DefaultMaxSize.
	MaxSize int64
	// Label and Description are for people.
	Label, Description string
	// Activate makes the store the active one. The first store of a workspace always is.
	Activate bool
}

// Create makes a store without a generation. If id is zero, the id is the SHA-256 of the publisher
// key. A name, in upper or lower case, or an id that the workspace has already is fs.ErrExist. ctx
// ends the wait for the lock of the workspace.
func (w *Workspace) Create(ctx context.Context, id StoreID, o *StoreOptions) (*Store, error) {
	if o == nil {
		o = &StoreOptions{}
	}
	key := o.Key
	if id == (StoreID{}) {
		if key == nil {
			var err error
			if key, err = auth.GenerateKey(w.rand); err != nil {
				return nil, fmt.Errorf("create store: %w", err)
			}
		}
		id = auth.StoreIDFromKey(key.PublicKey())
	}
	set := settings{id: id, maxSize: o.MaxSize, label: o.Label, about: o.Description}
	if key != nil || o.Listed { // in a clone the head decides
		set.listed = &o.Listed
	}
	if set.maxSize <= 0 {
		set.maxSize = DefaultMaxSize
	}
	if o.Private {
		if o.Listed {
			return nil, errors.New("create store: a private store cannot be listed")
		}
		set.salt = new(urn.Salt)
		if _, err := io.ReadFull(w.rand, set.salt[:]); err != nil {
			return nil, fmt.Errorf("create store: make a salt: %w", err)
		}
	}
	name := o.Name
	if name == "" {
		name = id.String()
	}
	if err := checkNewName(name); err != nil {
		return nil, fmt.Errorf("create store: %w", err)
	}
	if o.ContentRoot != "" {
		w.AllowContentRoot(o.ContentRoot)
	}
	dir := filepath.Join(w.dot, "stores", name)
	err := w.update(ctx, func(r *registry) error {
		if other, ok := r.taken(name); ok {
			return fmt.Errorf("create store: name %q: store %q is here: %w", name, other, fs.ErrExist)
		}
		for n, e := range r.Stores {
			if e.ID == id.String() {
				return fmt.Errorf("create store: id %s: store %q has it: %w", id, n, fs.ErrExist)
			}
		}
		w.stores.forget(name) // it may have been removed by another process
		if err := w.makeStore(dir, set, key); err != nil {
			return fmt.Errorf("create store %s: %w", name, err)
		}
		r.Stores[name] = regStore{ID: id.String(), ContentRoot: filepath.ToSlash(o.ContentRoot)}
		if r.Active == "" || o.Activate {
			r.Active = name
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return w.Store(name)
}

// makeStore writes the files of a new store. Files that an earlier attempt has left are used again
// or replaced, because the store is not registered yet. A directory with a key is set aside.
func (w *Workspace) makeStore(dir string, set settings, key *auth.Key) error {
	if _, err := w.fs.Stat(filepath.Join(dir, "roots.log")); err == nil {
		return fmt.Errorf("%s holds a store that the workspace does not list: %w", dir, fs.ErrExist)
	}
	if err := w.setAside(dir); err != nil {
		return err
	}
	if err := storedir.Make(w.fs, dir); err != nil {
		return err
	}
	if err := w.checkDirs(dir); err != nil {
		return err
	}
	if err := set.write(w.fs, dir); err != nil {
		return err
	}
	if key != nil {
		return keydir.Write(w.fs, dir, key)
	}
	return nil
}

// setAside renames the directory of a store that is not registered if it has a key, which may be
// the only copy: dir becomes dir.old-1, or the next number that is free.
func (w *Workspace) setAside(dir string) error {
	key, err := keydir.Exists(w.fs, dir)
	if err != nil || !key {
		return err
	}
	for n := 1; ; n++ {
		aside := fmt.Sprintf("%s.old-%d", dir, n)
		if _, err := w.fs.Lstat(aside); err == nil {
			continue
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := w.fs.Rename(dir, aside); err != nil {
			return err
		}
		return w.fs.SyncDir(filepath.Dir(dir))
	}
}
