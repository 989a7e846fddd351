package digstore

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/internal/filestamp"
	"github.com/dig-network/digstore/digstore/internal/smallfile"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/internal/diskfs"
)

// dotDig is the directory that makes a folder a workspace.
const dotDig = ".dig"

// StoreID identifies a store; see package auth.
type StoreID = auth.StoreID

// URN addresses a resource; see package urn.
type URN = urn.URN

// Options are settings of a workspace. nil and the zero value mean the defaults.
type Options struct {
	// FS is the file system of the workspace. Default: the disk, below the folder of the workspace,
	// where links are not followed and only regular files are opened. The files of a content root
	// are always read from the disk.
	FS diskfs.FS
	// SafeDirs are folders whose .dig may belong to other users, or be writable for them; "*"
	// stands for every folder. Default: none.
	SafeDirs []string
	// ContentRoots are folders outside of the folder of the workspace from which commits are
	// allowed; see AllowContentRoot. Default: none.
	ContentRoots []string
	// Now is the clock for the times of generations, and for deciding which files may have changed
	// since a commit read them. Default: time.Now.
	Now func() time.Time
	// Rand is the source of keys and salts. Default: crypto/rand.
	Rand io.Reader
	// LockWait is how long a writer waits for a lock before it returns a *LockedError. 0 means 10
	// seconds; with less than 0 it does not wait.
	LockWait time.Duration
	// Workers is the number of goroutines of one commit or checkout. Default: GOMAXPROCS.
	Workers int
	// Excludes are lines of an ignore file for every content root, such as the global one of git.
	// Ignore files in the content root take precedence.
	Excludes []string
}

// A Workspace is a .dig directory: stores, and which of them is active. It may be used by several
// goroutines and by several processes at once. What one process commits, the others see at their
// next call.
type Workspace struct {
	dir      string    // holds .dig
	dot      string    // .dig itself
	fs       diskfs.FS // stores
	stores   *storeFS
	now      func() time.Time
	rand     io.Reader
	lockWait time.Duration
	workers  int
	excludes []string

	safe []string

	mu      sync.Mutex
	stamp   filestamp.Stamp
	reg     registry
	opened  map[string]*Store
	outside map[string]bool // content roots outside of dir that may be published
}

func newWorkspace(dir string, o *Options) *Workspace {
	if o == nil {
		o = &Options{}
	}
	w := &Workspace{dir: dir, dot: filepath.Join(dir, dotDig), now: o.Now, rand: o.Rand,
		lockWait: o.LockWait, workers: o.Workers, excludes: o.Excludes, safe: o.SafeDirs,
		opened: map[string]*Store{}, outside: map[string]bool{}}
	w.stores = &storeFS{FS: o.FS, stores: filepath.Join(w.dot, "stores"),
		dirs: map[string]fs.FileInfo{}}
	if w.stores.FS == nil {
		w.stores.FS = diskfs.Beneath(dir)
	}
	w.fs = w.stores
	if w.now == nil {
		w.now = time.Now
	}
	if w.rand == nil {
		w.rand = rand.Reader
	}
	if w.lockWait == 0 {
		w.lockWait = 10 * time.Second
	}
	if w.workers <= 0 {
		w.workers = runtime.GOMAXPROCS(0)
	}
	for _, root := range o.ContentRoots {
		w.AllowContentRoot(root)
	}
	return w
}

// Init makes a workspace in dir, which is created if it does not exist. An existing workspace is
// fs.ErrExist. If dir is a git work tree, ".dig/" is added to its .gitignore.
func Init(dir string, o *Options) (*Workspace, error) {
	w := newWorkspace(dir, o)
	if err := w.init(); err != nil {
		return nil, fmt.Errorf("init %s: %w", dir, err)
	}
	return w, nil
}

func (w *Workspace) init() error {
	switch err := w.checkDot(); {
	case err == nil:
		if _, err := w.fs.Stat(w.registryName()); err == nil {
			return fmt.Errorf("a workspace is here already: %w", fs.ErrExist)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	case !errors.Is(err, ErrNoWorkspace):
		return err
	}
	if err := diskfs.MkdirAll(w.fs, filepath.Join(w.dot, "stores"), 0o755); err != nil {
		return err
	}
	if err := w.checkDirs(filepath.Join(w.dot, "stores")); err != nil {
		return err
	}
	if err := w.ignoreDig(); err != nil {
		return err
	}
	return writeTOML(w.fs, w.registryName(), registry{})
}

// ignoreDig adds ".dig/" to .gitignore, once, if git is used.
func (w *Workspace) ignoreDig() error {
	if _, err := w.fs.Stat(filepath.Join(w.dir, ".git")); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	name := filepath.Join(w.dir, ".gitignore")
	text, err := smallfile.Read(w.fs, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for line := range bytes.Lines(text) {
		if l := bytes.TrimSpace(line); string(l) == ".dig/" || string(l) == ".dig" ||
			string(l) == "/.dig/" {
			return nil
		}
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(text, '\n')
	}
	return diskfs.WriteFile(w.fs, name, append(text, ".dig/\n"...), 0o644)
}

// Open opens the workspace of the folder dir. A folder without one is ErrNoWorkspace. If .dig
// belongs to another user, the error is an *AccessError, unless Options.SafeDirs names dir. A
// workspace in the oldest layout of the reference implementation is ErrOldLayout; Migrate changes
// it. Open writes nothing.
//
// Operations that write, or read a key, also return an *AccessError if a user other than root owns
// a folder from .dig to the store, or may write to it, unless SafeDirs names dir. A folder that is
// writable for the own group of the user is accepted.
func Open(dir string, o *Options) (*Workspace, error) {
	w := newWorkspace(dir, o)
	if err := w.open(); err != nil {
		return nil, fmt.Errorf("open workspace %s: %w", dir, err)
	}
	return w, nil
}

func (w *Workspace) open() error {
	if err := w.checkDot(); err != nil {
		return err
	}
	return w.refresh()
}

// checkDot returns an error if .dig does not exist, belongs to another user, or has the oldest
// layout.
func (w *Workspace) checkDot() error {
	if err := w.checkOwner(); err != nil {
		return err
	}
	_, err := w.fs.Stat(filepath.Join(w.dot, "config.toml"))
	switch {
	case err == nil:
		return ErrOldLayout
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return err
}

// Find opens the workspace of dir, or of the nearest folder above it that has one. Without one it
// is ErrNoWorkspace.
func Find(dir string, o *Options) (*Workspace, error) {
	start, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find workspace: %w", err)
	}
	for at := start; ; at = filepath.Dir(at) {
		w, err := Open(at, o)
		if !errors.Is(err, ErrNoWorkspace) {
			return w, err
		}
		if filepath.Dir(at) == at {
			return nil, fmt.Errorf("find workspace in %s and above: %w",
				start, ErrNoWorkspace)
		}
	}
}

// Dir returns the folder that holds .dig.
func (w *Workspace) Dir() string { return w.dir }

// Close closes open files. Generations and modules of the workspace cannot be read afterwards.
func (w *Workspace) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.opened {
		s.dir.Packs.Close()
	}
	clear(w.opened)
	return nil
}

// Store opens a store by its name or its id in hex; "" is the active one. An unknown store is
// fs.ErrNotExist. Stores stay open until the workspace is closed, so opening one again is cheap.
func (w *Workspace) Store(nameOrID string) (*Store, error) {
	name, err := w.find(nameOrID)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.opened[name]; s != nil {
		if w.reg.Stores[name].ID == s.set.id.String() && w.stores.current(name) {
			return s, nil
		}
		delete(w.opened, name) // removed by another process, and made anew
		s.dir.Packs.Close()
	}
	s, err := openStore(w, name)
	if errors.Is(err, fs.ErrNotExist) {
		err = w.missingLocked(name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", name, err)
	}
	if want := w.reg.Stores[name].ID; want != s.set.id.String() {
		if id, err := auth.ParseStoreID(want); err != nil || id != s.set.id {
			return nil, fmt.Errorf("open store %s: %w: id %s in config.toml, %s in workspace.toml", name,
				ErrCorrupt, s.set.id, want)
		}
	}
	w.opened[name] = s
	return s, nil
}

// missingLocked returns the error for a store whose files do not exist: damage, unless the store
// was removed after workspace.toml was read. The caller holds mu.
func (w *Workspace) missingLocked(name string, missing error) error {
	if err := w.refreshLocked(); err != nil {
		return err
	}
	if _, listed := w.reg.Stores[name]; !listed {
		return missing
	}
	return fmt.Errorf("%w: workspace.toml lists it: %s", ErrCorrupt, missing)
}

// store is Store by id.
func (w *Workspace) store(id auth.StoreID) (*Store, error) { return w.Store(id.String()) }

// Active opens the active store; fs.ErrNotExist if there is none.
func (w *Workspace) Active() (*Store, error) { return w.Store("") }

// Use makes a store, by name or id, the active one.
func (w *Workspace) Use(ctx context.Context, nameOrID string) error {
	name, err := w.find(nameOrID)
	if err != nil {
		return fmt.Errorf("use store: %w", err)
	}
	return w.update(ctx, func(r *registry) error {
		r.Active = name
		return nil
	})
}

// All opens the stores of the workspace one after the other, by name. It continues after an error.
func (w *Workspace) All() iter.Seq2[*Store, error] {
	return func(yield func(*Store, error) bool) {
		names, err := w.names()
		if err != nil {
			yield(nil, err)
			return
		}
		for _, name := range names {
			if !yield(w.Store(name)) {
				return
			}
		}
	}
}
