package digstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sync/singleflight"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/internal/history"
	"github.com/dig-network/digstore/digstore/internal/packdir"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// A Store is one store of a workspace: its settings, its history and its generations. It may be
// used by several goroutines. Writers (Commit, Install, GC and so on) exclude each other by a lock
// on disk; readers never wait.
type Store struct {
	w     *Workspace
	name  string
	dir   string
	set   settings
	packs *packdir.Dir
	log   *history.Log

	mu      sync.Mutex
	cache   recipeCache
	reading singleflight.Group
	tombs   tombMemo
	salts   saltMemo
	// of the last writer, or the one at work: changed under the lock on disk, and mu
	intent intent
	made   auth.SignedRoot // signatures that were missing when a reader asked for them
	// serial number of the last writer whose packs and recipes may be remembered
	upTo uint64
}

// StoreOptions are the settings of a new store. nil and the zero value mean the defaults.
type StoreOptions struct {
	// Name names the store in its workspace. Default: its id in hex.
	Name string
	// Key is the publisher key, kept in signing_key.bin. Default: a new one when the store's id is
	// zero, else none.
	Key *auth.Key
	// Private makes a random secret salt: only who has it can read the store.
	Private bool
	// Listed makes commits carry the names of the resources (section 13), for everybody to see. Public
	// stores only.
	Listed bool
	// ContentRoot is the folder that commits are made from, relative to the workspace's folder or
	// absolute. Default: none.
	ContentRoot string
	// MaxSize is the cap on a generation's plaintext in bytes. Default: DefaultMaxSize.
	MaxSize int64
	// Label and Description are for people.
	Label, Description string
	// Activate makes the store the active one. The first store of a workspace always is.
	Activate bool
}

// Create makes a store without a generation. With a zero id the id is the SHA-256 of the publisher
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
	if key != nil || o.Listed { // a clone goes on as the generations that it gets
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
				return fmt.Errorf("create store: %s is here as %q: %w", id, n, fs.ErrExist)
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

// makeStore fills a store's directory. What an earlier attempt left there is used again or
// replaced, since the store is not registered yet; but where a key was left, the directory is set
// aside.
func (w *Workspace) makeStore(dir string, set settings, key *auth.Key) error {
	if _, err := w.fs.Stat(filepath.Join(dir, "roots.log")); err == nil {
		return fmt.Errorf("%s holds a store that the workspace does not list: %w", dir, fs.ErrExist)
	}
	if err := w.setAside(dir); err != nil {
		return err
	}
	for _, sub := range []string{"", "packs", "recipes", "sigs"} {
		if err := diskfs.MkdirAll(w.fs, filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	if err := w.checkDirs(dir); err != nil {
		return err
	}
	if err := set.write(w.fs, dir); err != nil {
		return err
	}
	if key != nil {
		return writeKey(w.fs, dir, key)
	}
	return nil
}

// setAside renames the directory of a store that is not registered when it has a key: dir becomes
// dir.old-1, or the next number that is free. A key may be the only copy of it.
func (w *Workspace) setAside(dir string) error {
	key, err := w.hasKey(dir)
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

// hasKey reports whether a file that may hold a key lies in a store's directory.
func (w *Workspace) hasKey(dir string) (bool, error) {
	for _, file := range []string{keyFile, writerFile} {
		_, err := w.fs.Lstat(filepath.Join(dir, file))
		if !errors.Is(err, fs.ErrNotExist) {
			return err == nil, err
		}
	}
	return false, nil
}

func openStore(w *Workspace, name string) (*Store, error) {
	s := &Store{w: w, name: name, dir: filepath.Join(w.dot, "stores", name)}
	err := w.stores.opened(name)
	if err != nil {
		return nil, fmt.Errorf("read store: %w", err)
	}
	if s.set, err = s.readSettings(); err != nil {
		return nil, err
	}
	s.log = history.New(w.fs, s.dir, &history.Options{MustProve: s.isProven, Proven: s.setProven})
	old := &oldChunks{fs: w.fs, dir: filepath.Join(s.dir, "generations")}
	s.packs = packdir.New(w.fs, filepath.Join(s.dir, "packs"),
		&packdir.Options{Fallback: old.chunk, Reloaded: old.forget, Now: w.now})
	return s, nil
}

// ID returns the store's id.
func (s *Store) ID() auth.StoreID { return s.set.id }

// Name returns the store's name in its workspace.
func (s *Store) Name() string { return s.name }

// Private reports whether the store has a secret salt.
func (s *Store) Private() bool { return s.salt() != nil }

// Listed reports whether commits carry the names of the resources. A store that was made by Create
// with a key has a setting for it. Without one it goes on as the generation before: a clone of a
// listed store is listed.
func (s *Store) Listed() (bool, error) {
	h, err := s.log.Current()
	if err != nil {
		return false, err
	}
	m, err := s.oldManifests(h)
	return m != nil, err
}

// MaxSize returns the cap on a generation's plaintext in bytes.
func (s *Store) MaxSize() int64 { return s.set.maxSize }

// Label returns the store's label and description.
func (s *Store) Label() (label, description string) { return s.set.label, s.set.about }

// ContentRoot returns the folder that workspace.toml names as content root, "" when there is none.
// Whether commits may be made from it, CheckContentRoot says.
func (s *Store) ContentRoot() string {
	root, err := s.namedContentRoot()
	if err != nil {
		return ""
	}
	return root
}

// SetContentRoot sets the folder that commits are made from, relative to the workspace's folder or
// absolute; "" for none.
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

// lock takes the store's writer lock.
func (s *Store) lock(ctx context.Context) (io.Closer, error) {
	err := s.w.checkDirs(s.dir)
	var l io.Closer
	if err == nil {
		l, err = s.w.lock(ctx, filepath.Join(s.dir, "lock"))
	}
	if errors.Is(err, ErrRemoved) {
		err = fmt.Errorf("%w: %w", err, fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", s.name, err)
	}
	return l, nil
}

// lockClean is lockSwept for writers that build on the head: a head that is not held is ErrCorrupt.
func (s *Store) lockClean(ctx context.Context) (io.Closer, *history.History, error) {
	l, h, err := s.lockSwept(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := s.checkHead(h); err != nil {
		_ = l.Close()
		return nil, nil, err
	}
	return l, h, nil
}

// checkHead is ErrCorrupt when the head is not held, or was signed and its signature is not kept:
// then its line names another root than that of what was committed or received last, or what that
// needs is gone.
func (s *Store) checkHead(h *history.History) error {
	head, ok := h.Head()
	if !ok {
		return nil
	}
	there, err := s.hasAny(head.Root)
	if err != nil {
		return err
	}
	if there {
		return s.checkSigned(head)
	}
	return corrupt(s.log.Path(), "generation %d, the head, with root %s: it is not held",
		head.Number, head.Root)
}

// hasAny reports whether a generation is here, also in the form of the reference.
func (s *Store) hasAny(root merkle.Hash) (bool, error) {
	for _, name := range []string{s.recipeName(root), s.manifestName(root), s.legacyName(root)} {
		_, err := s.w.fs.Stat(name)
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return false, fmt.Errorf("look for generation %s: %w", root, err)
		}
	}
	return false, nil
}

// lockSwept takes the lock, reads the history as it is now and sweeps what a writer that died has
// left.
func (s *Store) lockSwept(ctx context.Context) (io.Closer, *history.History, error) {
	l, err := s.lock(ctx)
	if err != nil {
		return nil, nil, err
	}
	err = s.checkThere()
	var h *history.History
	if err == nil {
		h, err = s.log.Read()
	}
	if err == nil {
		err = s.sweep(ctx, h)
	}
	if err == nil && h.NeedsIndex() { // another version has written them, or an index could not be
		s.log.Index(h)
		h, err = s.log.Read()
	}
	if err != nil {
		_ = l.Close()
		return nil, nil, err
	}
	return l, h, nil
}

// checkThere refuses to write into a store that is being removed. The caller holds the store's
// lock.
func (s *Store) checkThere() error {
	_, err := s.w.fs.Stat(filepath.Join(s.dir, removedMark))
	if err == nil {
		return fmt.Errorf("store %s was removed: %w", s.name, fs.ErrNotExist)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// sweepNow sweeps before a transfer, which must not count on chunks that a writer that died has
// left, or that another process has removed. While another writer has the lock it does not sweep:
// that one has.
func (s *Store) sweepNow(ctx context.Context) error {
	if err := s.w.checkDirs(s.dir); err != nil {
		return fmt.Errorf("store %s: %w", s.name, err)
	}
	l, err := s.w.fs.TryLock(filepath.Join(s.dir, "lock"))
	if errors.Is(err, ErrLocked) {
		s.keepUp(0)
		return nil
	}
	if err != nil {
		return fmt.Errorf("store %s: %w", s.name, err)
	}
	defer l.Close()
	h, err := s.log.Read()
	if err != nil {
		return err
	}
	return s.sweep(ctx, h)
}

// Generations returns the history, oldest first, numbered from 0, generations that are not held
// included.
func (s *Store) Generations(context.Context) ([]module.Generation, error) {
	h, err := s.log.Current()
	if err != nil {
		return nil, err
	}
	lines, err := h.Every()
	return slices.Clone(lines), err
}

// Line returns the line of a root; fs.ErrNotExist when it is not in the history. It reads of the
// history what grows with its logarithm, as At, Head and Latest do.
func (s *Store) Line(_ context.Context, root merkle.Hash) (module.Generation, error) {
	h, err := s.log.Current()
	if err != nil {
		return module.Generation{}, err
	}
	g, ok, err := h.Find(root)
	if err == nil && !ok {
		err = fmt.Errorf("store %s: root %s: %w", s.name, root, fs.ErrNotExist)
	}
	return g, err
}

// Tail returns the last n lines of the history, or all there are, oldest first. It reads no more of
// it than those.
func (s *Store) Tail(_ context.Context, n int) ([]module.Generation, error) {
	h, err := s.log.Current()
	if err != nil {
		return nil, err
	}
	return h.Tail(uint64(max(n, 0)))
}

// Latest opens the newest generation; fs.ErrNotExist when the store has none.
func (s *Store) Latest() (*Generation, error) {
	h, err := s.log.Current()
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
// held here, is fs.ErrNotExist.
func (s *Store) At(root merkle.Hash) (*Generation, error) {
	h, err := s.log.Current()
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
