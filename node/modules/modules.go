package modules

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/storage"
	"github.com/dig-network/digstore/remote/server"
)

// Storage adds the modules of a backend to another storage. It is safe for concurrent use. New
// makes one. Content that it opens from a module is not verified.
type Storage struct {
	base    storage.Storage
	backend server.Backend
	fs      diskfs.FS
	dir     string // empty: nothing is kept

	mu       sync.RWMutex
	stores   map[auth.StoreID]map[merkle.Hash]*generation // by capsule root
	contents map[merkle.Hash]place
	expected map[*capsule.Manifest]expected
}

var (
	_ storage.Storage      = (*Storage)(nil)
	_ storage.OrphanLister = (*Storage)(nil)
)

// generation is a module that is served as capsules. It never changes.
type generation struct {
	module   merkle.Hash // its generation root
	manifest *capsule.Manifest
	meta     []byte
	head     bool
	modified time.Time
}

// place is the location of a content.
type place struct {
	store auth.StoreID
	g     *generation
	index uint32
}

// file is the form of a file of a generation.
type file struct {
	Module   merkle.Hash       `json:"module_root"`
	Head     bool              `json:"head"`
	Modified time.Time         `json:"modified"`
	Meta     string            `json:"meta"` // hexadecimal
	Manifest *capsule.Manifest `json:"manifest"`
}

// Options are what a Storage is made of.
type Options struct {
	Storage storage.Storage // required
	Backend server.Backend  // required
	Dir     string          // where manifests are kept; empty: in memory alone
	FS      diskfs.FS       // default: the disk
}

// New returns a Storage with the generations that its directory has. It skips a file that cannot be
// read; the module is added again later.
func New(o Options) (*Storage, error) {
	if o.Storage == nil || o.Backend == nil {
		return nil, errors.New("new module storage: Storage and Backend are required")
	}
	if o.FS == nil {
		o.FS = diskfs.OS()
	}
	s := &Storage{base: o.Storage, backend: o.Backend, fs: o.FS, dir: o.Dir,
		stores:   map[auth.StoreID]map[merkle.Hash]*generation{},
		contents: map[merkle.Hash]place{}, expected: map[*capsule.Manifest]expected{}}
	if s.dir == "" {
		return s, nil
	}
	if err := diskfs.MkdirAll(s.fs, s.dir, 0o700); err != nil {
		return nil, err
	}
	return s, s.load()
}

func (s *Storage) load() error {
	stores, err := s.fs.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, d := range stores {
		id, err := auth.ParseStoreID(d.Name())
		if err != nil || !d.IsDir() {
			continue
		}
		files, err := s.fs.ReadDir(filepath.Join(s.dir, d.Name()))
		if err != nil {
			return err
		}
		for _, f := range files {
			name, ok := strings.CutSuffix(f.Name(), ".json")
			root, err := merkle.ParseHash(name)
			if !ok || err != nil {
				continue
			}
			if g, err := s.read(id, root); err == nil {
				s.put(id, g)
			}
		}
	}
	return nil
}

func (s *Storage) name(id auth.StoreID, root merkle.Hash) string {
	return filepath.Join(s.dir, id.String(), root.String()+".json")
}

func (s *Storage) read(id auth.StoreID, root merkle.Hash) (*generation, error) {
	text, err := diskfs.ReadRegular(s.fs, s.name(id, root), capsule.MaxManifest)
	if err != nil {
		return nil, err
	}
	var f file
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, err
	}
	meta, err := hex.DecodeString(f.Meta)
	if err != nil || f.Manifest == nil || f.Manifest.Store != id || f.Manifest.Root != root {
		return nil, fmt.Errorf("%s: %w", s.name(id, root), capsule.ErrManifest)
	}
	return &generation{f.Module, f.Manifest, meta, f.Head, f.Modified}, nil
}

// write writes the file of a generation.
func (s *Storage) write(id auth.StoreID, g *generation) error {
	if s.dir == "" {
		return nil
	}
	f := file{g.module, g.head, g.modified, hex.EncodeToString(g.meta), g.manifest}
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	dir := filepath.Join(s.dir, id.String())
	if err := diskfs.MkdirAll(s.fs, dir, 0o700); err != nil {
		return err
	}
	return diskfs.WriteFile(s.fs, s.name(id, g.manifest.Root), text, 0o600)
}

// put adds a generation. The caller holds mu, or is the only user of s.
func (s *Storage) put(id auth.StoreID, g *generation) {
	if s.stores[id] == nil {
		s.stores[id] = map[merkle.Hash]*generation{}
	}
	s.stores[id][g.manifest.Root] = g
	for _, d := range g.manifest.Capsules {
		s.contents[d.Hash] = place{id, g, d.Index}
	}
}

// drop removes a generation. The caller holds mu.
func (s *Storage) drop(id auth.StoreID, g *generation) {
	delete(s.stores[id], g.manifest.Root)
	if len(s.stores[id]) == 0 {
		delete(s.stores, id)
	}
	for _, d := range g.manifest.Capsules {
		if s.contents[d.Hash].g == g {
			delete(s.contents, d.Hash)
		}
	}
	for _, other := range s.stores[id] { // other generations with the same content
		for _, d := range other.manifest.Capsules {
			if _, ok := s.contents[d.Hash]; !ok {
				s.contents[d.Hash] = place{id, other, d.Index}
			}
		}
	}
}

// Has reports whether a datastore is served from modules.
func (s *Storage) Has(id auth.StoreID) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.stores[id]) > 0
}

// Head returns the module that is the head of a datastore, and its capsule root. Absence is
// fs.ErrNotExist.
func (s *Storage) Head(id auth.StoreID) (module, root merkle.Hash, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, g := range s.stores[id] {
		if g.head {
			return g.module, g.manifest.Root, nil
		}
	}
	return module, root, fmt.Errorf("module of store %v: %w", id, fs.ErrNotExist)
}

// Root returns the capsule root of a module. Absence is fs.ErrNotExist.
func (s *Storage) Root(id auth.StoreID, module merkle.Hash) (merkle.Hash, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, g := range s.stores[id] {
		if g.module == module {
			return g.manifest.Root, nil
		}
	}
	return merkle.Hash{}, fmt.Errorf("module %v of store %v: %w", module, id, fs.ErrNotExist)
}

// Describe reads a module of the backend and returns its manifest. It does not store the manifest:
// see Expect.
func (s *Storage) Describe(
	ctx context.Context, id auth.StoreID, module merkle.Hash, created time.Time,
) (*capsule.Manifest, error) {
	rc, err := s.backend.Module(ctx, id, module)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	m, err := capsule.Split(ctx, id, rc, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("module %v of store %v: %w", module, id, err)
	}
	m.Created = uint64(created.Unix())
	return m, nil
}

// Expect makes the next Commit of m, which Describe returned, store it as the manifest of a module.
func (s *Storage) Expect(m *capsule.Manifest, module merkle.Hash, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expected[m] = expected{module, at}
}

// expected is the module of a manifest that is to be committed.
type expected struct {
	module merkle.Hash
	at     time.Time
}

// commitModule makes the module of a backend visible as a generation, durably. With g.Head it is
// the head among the modules of its datastore.
func (s *Storage) commitModule(
	ctx context.Context, g *storage.Generation, e expected,
) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if err := g.Manifest.Check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	id := g.Manifest.Store
	next := &generation{e.module, g.Manifest, g.Meta, g.Head, e.at}
	if err := s.write(id, next); err != nil {
		return err
	}
	if g.Head {
		for root, old := range s.stores[id] {
			if !old.head || root == g.Manifest.Root {
				continue
			}
			past := *old
			past.head = false
			if err := s.write(id, &past); err != nil {
				return err
			}
			s.put(id, &past)
		}
	}
	s.put(id, next)
	return nil
}

// find returns a generation of a module; a zero root means the head.
func (s *Storage) find(id auth.StoreID, root merkle.Hash) *generation {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if !root.IsZero() {
		return s.stores[id][root]
	}
	for _, g := range s.stores[id] {
		if g.head {
			return g
		}
	}
	return nil
}

func (g *generation) export() *storage.Generation {
	return &storage.Generation{Manifest: g.manifest, Meta: g.meta, Head: g.head}
}

// Stat implements storage.Storage.
func (s *Storage) Stat(ctx context.Context, ref capsule.Ref) (capsule.Descriptor, error) {
	g := s.find(ref.Store, ref.Root)
	if g == nil {
		return s.base.Stat(ctx, ref)
	}
	if int64(ref.Index) >= int64(len(g.manifest.Capsules)) {
		return capsule.Descriptor{}, fmt.Errorf("capsule %v: %w: generation has %d capsules", ref,
			fs.ErrNotExist, len(g.manifest.Capsules))
	}
	return g.manifest.Capsules[ref.Index], nil
}

// Open implements storage.Storage: from the other storage, or else from a module.
func (s *Storage) Open(
	ctx context.Context, d capsule.Descriptor, off, n int64,
) (io.ReadCloser, error) {
	rc, err := s.base.Open(ctx, d, off, n)
	if !errors.Is(err, fs.ErrNotExist) {
		return rc, err
	}
	s.mu.RLock()
	at, ok := s.contents[d.Hash]
	s.mu.RUnlock()
	if !ok {
		return nil, err
	}
	return s.window(ctx, at, d, off, n)
}

// window opens a part of a capsule of a module.
func (s *Storage) window(
	ctx context.Context, at place, d capsule.Descriptor, off, n int64,
) (io.ReadCloser, error) {
	size := int64(d.Size)
	if found := at.g.manifest.Capsules[at.index].Size; found != d.Size {
		return nil, fmt.Errorf("open capsule %v: %w: found %d bytes, expected %d", d.Hash,
			capsule.ErrContentMismatch, found, d.Size)
	}
	if off < 0 || off > size {
		return nil, fmt.Errorf("open capsule %v: %w: offset %d, size %d", d.Hash,
			storage.ErrRange, off, size)
	}
	if n < 0 || n > size-off {
		n = size - off
	}
	module, err := s.backend.Module(ctx, at.store, at.g.module)
	if err != nil {
		return nil, err
	}
	begin := int64(at.index)*capsule.DefaultSize + off
	if _, err := module.Seek(begin, io.SeekStart); err != nil {
		module.Close()
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(module, n), module}, nil
}

// Put implements storage.Storage.
func (s *Storage) Put(ctx context.Context, d capsule.Descriptor, r io.Reader) error {
	return s.base.Put(ctx, d, r)
}

// Commit implements storage.Storage. Content that only modules have is copied, because the
// generation may outlive them. For a manifest of a module see Expect.
func (s *Storage) Commit(ctx context.Context, g *storage.Generation) error {
	s.mu.Lock()
	e, module := s.expected[g.Manifest]
	delete(s.expected, g.Manifest)
	s.mu.Unlock()
	if module {
		return s.commitModule(ctx, g, e)
	}
	err := s.base.Commit(ctx, g)
	if !errors.Is(err, fs.ErrNotExist) || g.Manifest == nil {
		return err
	}
	for _, d := range g.Manifest.Capsules {
		rc, err := s.base.Open(ctx, d, 0, 0)
		if err == nil {
			rc.Close()
			continue
		}
		if rc, err = s.Open(ctx, d, 0, -1); err != nil {
			return err
		}
		err = s.base.Put(ctx, d, rc)
		if err = errors.Join(err, rc.Close()); err != nil {
			return err
		}
	}
	return s.base.Commit(ctx, g)
}

// Stores implements storage.Storage.
func (s *Storage) Stores(ctx context.Context) iter.Seq2[auth.StoreID, error] {
	return func(yield func(auth.StoreID, error) bool) {
		s.mu.RLock()
		var ids []auth.StoreID
		for id := range s.stores {
			ids = append(ids, id)
		}
		s.mu.RUnlock()
		slices.SortFunc(ids, auth.StoreID.Compare)
		for id, err := range s.base.Stores(ctx) {
			for err == nil && len(ids) > 0 && ids[0].Compare(id) <= 0 {
				next := ids[0]
				ids = ids[1:]
				if next != id && !yield(next, nil) {
					return
				}
			}
			if !yield(id, err) {
				return
			}
		}
		for _, id := range ids {
			if !yield(id, nil) {
				return
			}
		}
	}
}

// Generations implements storage.Storage.
func (s *Storage) Generations(
	ctx context.Context, id auth.StoreID,
) iter.Seq2[*storage.Generation, error] {
	return func(yield func(*storage.Generation, error) bool) {
		mine := s.list(id)
		head := slices.ContainsFunc(mine, func(g *generation) bool { return g.head })
		for g, err := range s.base.Generations(ctx, id) {
			for err == nil && len(mine) > 0 &&
				mine[0].manifest.Root.Compare(g.Manifest.Root) < 0 {
				next := mine[0]
				mine = mine[1:]
				if !yield(next.export(), nil) {
					return
				}
			}
			if err == nil && head {
				g.Head = false // the head among the modules takes precedence
			}
			if !yield(g, err) {
				return
			}
		}
		for _, g := range mine {
			if !yield(g.export(), nil) {
				return
			}
		}
	}
}

// list returns the modules of a datastore, ascending by capsule root.
func (s *Storage) list(id auth.StoreID) []*generation {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var list []*generation
	for _, g := range s.stores[id] {
		list = append(list, g)
	}
	slices.SortFunc(list, func(a, b *generation) int {
		return a.manifest.Root.Compare(b.manifest.Root)
	})
	return list
}

// Generation implements storage.Storage.
func (s *Storage) Generation(
	ctx context.Context, id auth.StoreID, root merkle.Hash,
) (*storage.Generation, error) {
	if g := s.find(id, root); g != nil {
		return g.export(), nil
	}
	return s.base.Generation(ctx, id, root)
}

// Held implements storage.Storage.
func (s *Storage) Held(
	ctx context.Context, id auth.StoreID,
) iter.Seq2[capsule.Descriptor, error] {
	return func(yield func(capsule.Descriptor, error) bool) {
		seen := map[merkle.Hash]bool{}
		for _, g := range s.list(id) {
			for _, d := range g.manifest.Capsules {
				if seen[d.Hash] {
					continue
				}
				seen[d.Hash] = true
				if !yield(d, nil) {
					return
				}
			}
		}
		for d, err := range s.base.Held(ctx, id) {
			if err == nil && seen[d.Hash] {
				continue
			}
			if !yield(d, err) {
				return
			}
		}
	}
}

// Discard implements storage.Storage.
func (s *Storage) Discard(ctx context.Context, hashes []merkle.Hash) error {
	return s.base.Discard(ctx, hashes)
}

// Release implements storage.Storage. Content of modules is not removed.
func (s *Storage) Release(ctx context.Context, hashes []merkle.Hash) error {
	return s.base.Release(ctx, hashes)
}

// Remove implements storage.Storage. Modules stay in the backend.
func (s *Storage) Remove(ctx context.Context, id auth.StoreID, root merkle.Hash) error {
	removed := false
	s.mu.Lock()
	for _, g := range s.stores[id] {
		if !root.IsZero() && g.manifest.Root != root {
			continue
		}
		if s.dir != "" {
			err := s.fs.Remove(s.name(id, g.manifest.Root))
			if err == nil {
				err = s.fs.SyncDir(filepath.Join(s.dir, id.String()))
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				s.mu.Unlock()
				return err
			}
		}
		s.drop(id, g)
		removed = true
	}
	s.mu.Unlock()
	err := s.base.Remove(ctx, id, root)
	if removed && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Usage implements storage.Storage. Bytes are those of the other storage: modules add none.
func (s *Storage) Usage(ctx context.Context) (storage.Usage, error) {
	u, err := s.base.Usage(ctx)
	if err != nil {
		return u, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, list := range s.stores {
		u.Generations += len(list)
	}
	for id := range s.stores {
		_, err := s.base.Generation(ctx, id, merkle.Hash{})
		if err != nil {
			u.Stores++
		}
	}
	return u, nil
}

// Orphans implements storage.OrphanLister.
func (s *Storage) Orphans(ctx context.Context) iter.Seq2[storage.Orphan, error] {
	if lister, ok := s.base.(storage.OrphanLister); ok {
		return lister.Orphans(ctx)
	}
	return func(func(storage.Orphan, error) bool) {}
}

// stamps yields the generations of both.
func (s *Storage) stamps(
	ctx context.Context, base storage.Stamper,
) iter.Seq2[storage.Stamp, error] {
	return func(yield func(storage.Stamp, error) bool) {
		var all []storage.Stamp
		for st, err := range base.Stamps(ctx) {
			if err != nil {
				yield(st, err)
				return
			}
			if _, _, err := s.Head(st.Store); err == nil {
				st.Head = false
			}
			all = append(all, st)
		}
		s.mu.RLock()
		for id, list := range s.stores {
			for root, g := range list {
				all = append(all, storage.Stamp{Store: id, Root: root, Head: g.head,
					Size: int64(len(g.manifest.Capsules)), Modified: g.modified})
			}
		}
		s.mu.RUnlock()
		slices.SortFunc(all, func(a, b storage.Stamp) int {
			return cmp.Or(a.Store.Compare(b.Store), a.Root.Compare(b.Root))
		})
		for _, st := range all {
			if !yield(st, nil) {
				return
			}
		}
	}
}

// A stamped is a Storage over a storage that is a storage.Stamper.
type stamped struct {
	*Storage
	base storage.Stamper
}

// Stamps implements storage.Stamper.
func (s stamped) Stamps(ctx context.Context) iter.Seq2[storage.Stamp, error] {
	return s.stamps(ctx, s.base)
}

// View returns s as a storage.Storage that has the optional interfaces of the storage below it.
func (s *Storage) View() storage.Storage {
	if base, ok := s.base.(storage.Stamper); ok {
		return stamped{s, base}
	}
	return s
}
