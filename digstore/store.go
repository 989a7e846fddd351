package digstore

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/internal/evidence"
	"github.com/dig-network/digstore/digstore/internal/keydir"
	"github.com/dig-network/digstore/digstore/internal/staging"
	"github.com/dig-network/digstore/digstore/internal/statindex"
	"github.com/dig-network/digstore/digstore/internal/storedir"
	"github.com/dig-network/digstore/digstore/internal/tombdir"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// A Store is one store of a workspace: its settings, its history and its generations. It may be
// used by several goroutines. Writers (Commit, Install, GC and so on) exclude each other by a lock
// on disk. Readers never wait.
type Store struct {
	w    *Workspace
	name string
	set  settings

	dir        *storedir.Dir // history, packs, recipes, signatures, pins, names, pending ones
	keys       *keydir.Dir
	staging    *staging.File
	index      *statindex.File
	tombstones *tombdir.Dir
	evidence   *evidence.Dir
	salts      saltMemo

	mu   sync.Mutex
	made auth.SignedRoot // signatures that were missing when a reader asked for them
}

func openStore(w *Workspace, name string) (*Store, error) {
	if err := w.stores.opened(name); err != nil {
		return nil, fmt.Errorf("read store: %w", err)
	}
	dir := filepath.Join(w.dot, "stores", name)
	s := &Store{w: w, name: name, salts: saltMemo{w: w, dir: dir}}
	var err error
	if s.set, err = s.salts.readSettings(); err != nil {
		return nil, err
	}
	s.dir = storedir.New(storedir.Options{FS: w.fs, Path: dir, Name: name, Store: s.set.id,
		Now: w.now, Rand: w.rand, Lock: w.lock, CheckAccess: w.checkDirs})
	s.keys = &keydir.Dir{FS: w.fs, Path: dir, Name: name, ReadSecret: w.readSecret}
	s.staging = staging.New(w.fs, filepath.Join(dir, s.set.id.String()+".staging.bin"))
	s.index = statindex.New(w.fs, dir, w.now)
	s.tombstones = tombdir.New(w.fs, dir, s.set.id, w.now)
	s.evidence = evidence.New(w.fs, dir)
	return s, nil
}

// ID returns the id of the store.
func (s *Store) ID() auth.StoreID { return s.set.id }

// Name returns the name of the store in its workspace.
func (s *Store) Name() string { return s.name }

// Private reports whether the store has a secret salt.
func (s *Store) Private() bool { return s.salts.current() != nil }

// Listed reports whether commits publish the names of the resources. A store that was made by
// Create with a key has a setting for it. Without the setting the generation before decides: a
// clone of a listed store is listed.
func (s *Store) Listed() (bool, error) {
	h, err := s.dir.Log.Current()
	if err != nil {
		return false, err
	}
	m, err := oldManifests(s, h)
	return m != nil, err
}

// MaxSize returns the limit of the plaintext of one generation, in bytes.
func (s *Store) MaxSize() int64 { return s.set.maxSize }

// Label returns the label and the description of the store.
func (s *Store) Label() (label, description string) { return s.set.label, s.set.about }

// ContentRoot returns the folder that workspace.toml names as the content root, "" if there is
// none. CheckContentRoot says whether commits from it are allowed.
func (s *Store) ContentRoot() string {
	root, err := s.namedContentRoot()
	if err != nil {
		return ""
	}
	return root
}

// SetContentRoot sets the folder that commits are made from, absolute or relative to the folder of
// the workspace; "" for none.
func (s *Store) SetContentRoot(ctx context.Context, dir string) error {
	s.w.AllowContentRoot(dir)
	return s.w.update(ctx, func(r *registry) error {
		e, ok := r.Stores[s.name]
		if !ok {
			return fmt.Errorf("set content root: store %s: %w", s.name, fs.ErrNotExist)
		}
		e.ContentRoot = filepath.ToSlash(dir)
		r.Stores[s.name] = e
		return nil
	})
}

// Generations returns the history, oldest first, numbered from 0. Generations that are not held are
// included.
func (s *Store) Generations(context.Context) ([]module.Generation, error) {
	h, err := s.dir.Log.Current()
	if err != nil {
		return nil, err
	}
	lines, err := h.Every()
	return slices.Clone(lines), err
}

// Line returns the line of a root; fs.ErrNotExist if the history does not have it. Its cost, and
// that of At, Head and Latest, grows with the logarithm of the history.
func (s *Store) Line(_ context.Context, root merkle.Hash) (module.Generation, error) {
	h, err := s.dir.Log.Current()
	if err != nil {
		return module.Generation{}, err
	}
	g, ok, err := h.Find(root)
	if err == nil && !ok {
		err = fmt.Errorf("store %s: root %s: %w", s.name, root, fs.ErrNotExist)
	}
	return g, err
}

// Tail returns the last n lines of the history, or all if there are fewer, oldest first. It reads
// only these.
func (s *Store) Tail(_ context.Context, n int) ([]module.Generation, error) {
	h, err := s.dir.Log.Current()
	if err != nil {
		return nil, err
	}
	return h.Tail(uint64(max(n, 0)))
}

// Latest opens the newest generation; fs.ErrNotExist if the store has none.
func (s *Store) Latest() (*Generation, error) {
	h, err := s.dir.Log.Current()
	if err != nil {
		return nil, err
	}
	g, ok := h.Head()
	if !ok {
		return nil, fmt.Errorf("store %s has no generation: %w", s.name, fs.ErrNotExist)
	}
	return s.At(g.Root)
}

// At opens the generation of a root. A root that is not in the history, or whose generation is not
// held, is fs.ErrNotExist.
func (s *Store) At(root merkle.Hash) (*Generation, error) {
	h, err := s.dir.Log.Current()
	if err != nil {
		return nil, err
	}
	line, ok, err := h.Find(root)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("store %s: generation %s: %w", s.name, root, fs.ErrNotExist)
	}
	return s.open(line)
}
