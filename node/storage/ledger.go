package storage

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"iter"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// A ledger has the stored contents, and counts the references of committed generations to each. Its
// key is a keyed 64-bit hash. If two contents collide, both count as referenced, so content may be
// kept too long but is never removed too early.
type ledger struct {
	seed     maphash.Seed
	entries  map[uint64]entry
	bytes    int64
	capsules int
	// damaged is the error of a manifest that could not be read. Not all references are known then.
	damaged error
}

type entry struct {
	refs    uint32
	size    uint32
	present bool
}

func newLedger() *ledger {
	return &ledger{seed: maphash.MakeSeed(), entries: map[uint64]entry{}}
}

func (l *ledger) key(hash merkle.Hash) uint64 { return maphash.Bytes(l.seed, hash[:]) }

func (l *ledger) set(key uint64, e entry) {
	if e == (entry{}) || e.refs == 0 && !e.present {
		delete(l.entries, key)
		return
	}
	l.entries[key] = e
}

// add records a stored content.
func (l *ledger) add(hash merkle.Hash, size int64) {
	key := l.key(hash)
	e := l.entries[key]
	if e.present {
		return
	}
	e.present, e.size = true, uint32(size)
	l.capsules++
	l.bytes += int64(e.size)
	l.set(key, e)
}

// drop records that a content was removed.
func (l *ledger) drop(hash merkle.Hash) {
	key := l.key(hash)
	e := l.entries[key]
	if !e.present {
		return
	}
	l.capsules--
	l.bytes -= int64(e.size)
	e.present = false
	l.set(key, e)
}

// count adds by to the references of the contents of a manifest.
func (l *ledger) count(m *capsule.Manifest, by int) {
	for _, d := range m.Capsules {
		key := l.key(d.Hash)
		e := l.entries[key]
		e.refs = uint32(int64(e.refs) + int64(by))
		l.set(key, e)
	}
}

// commit counts a manifest in place of an old one of the same root, which may be nil.
func (l *ledger) commit(m, old *capsule.Manifest) {
	l.count(m, 1)
	if old != nil {
		l.count(old, -1)
	}
}

// referenced reports whether a known generation names the content.
func (l *ledger) referenced(hash merkle.Hash) bool { return l.entries[l.key(hash)].refs > 0 }

// read returns the ledger, and reads it first if necessary. The caller holds mu.
func (s *Dir) read(ctx context.Context) (*ledger, error) {
	if s.ledger != nil {
		return s.ledger, nil
	}
	l := newLedger()
	for id, err := range s.dir.StoreDirs(ctx) {
		if err != nil {
			return nil, s.settle(err)
		}
		for g, err := range s.Generations(ctx, id) {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if err != nil {
				l.damaged = errors.Join(l.damaged, fmt.Errorf("store %v: %w", id, err))
				continue
			}
			l.count(g.Manifest, 1)
		}
	}
	for c, err := range s.dir.Contents(ctx) {
		if err != nil {
			return nil, s.settle(err)
		}
		l.add(c.Hash, c.Size)
	}
	if err := s.available(); err != nil {
		return nil, err
	}
	if l.damaged == nil { // otherwise try again at the next call
		s.ledger = l
	}
	return l, nil
}

// Discard implements Storage. If a manifest cannot be read, references are unknown: nothing is
// removed, and the error names the manifest.
func (s *Dir) Discard(ctx context.Context, hashes []merkle.Hash) error {
	if err := s.writable(ctx, "discard content"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := s.read(ctx)
	if err == nil {
		err = l.damaged
	}
	if err != nil {
		return fmt.Errorf("discard content: %w", err)
	}
	for _, hash := range hashes {
		delete(s.staged, hash)
		if l.referenced(hash) {
			continue
		}
		if err := s.remove(ctx, hash); err != nil {
			return err
		}
	}
	return nil
}

// Release implements Storage.
func (s *Dir) Release(ctx context.Context, hashes []merkle.Hash) error {
	if err := s.writable(ctx, "release content"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, hash := range hashes {
		if err := s.remove(ctx, hash); err != nil {
			return err
		}
		delete(s.staged, hash)
	}
	return nil
}

// remove removes a content if it exists. The caller holds mu.
func (s *Dir) remove(ctx context.Context, hash merkle.Hash) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	err := s.settle(s.dir.RemoveContent(hash))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if s.ledger != nil {
		s.ledger.drop(hash)
	}
	return nil
}

// writable returns nil if the storage can be changed. It prevents writes below the mount point of a
// missing volume.
func (s *Dir) writable(ctx context.Context, what string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if s.readOnly {
		return fmt.Errorf("%s: directory is open read-only: %w", what, errors.ErrUnsupported)
	}
	if err := s.available(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// Remove implements Storage. It removes the generations of a datastore one after the other, the
// head first. A generation with an unreadable manifest is removed too; its content remains and is
// found by Orphans.
func (s *Dir) Remove(ctx context.Context, store auth.StoreID, root merkle.Hash) error {
	if err := s.writable(ctx, "remove"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	roots, err := s.roots(store, root)
	if err != nil {
		return err
	}
	l, err := s.read(ctx)
	if err != nil {
		return fmt.Errorf("remove store %v: %w", store, err)
	}
	for _, root := range roots {
		k, err := s.dir.Kept(ctx, store, root)
		if err != nil && !errors.Is(err, capsule.ErrManifest) {
			return s.settle(err)
		}
		if err := s.dir.RemoveGeneration(store, root); err != nil {
			s.ledger = nil // it may have been removed despite the error
			return s.settle(err)
		}
		if k.Manifest == nil {
			s.ledger = nil
			continue
		}
		l.count(k.Manifest, -1)
		if l.damaged != nil {
			continue
		}
		for _, d := range k.Manifest.Capsules {
			if l.referenced(d.Hash) || s.staged[d.Hash] {
				continue
			}
			if err := s.remove(ctx, d.Hash); err != nil {
				return err
			}
		}
	}
	return nil
}

// roots returns the generations to remove, the head first.
func (s *Dir) roots(store auth.StoreID, root merkle.Hash) ([]merkle.Hash, error) {
	files, err := s.manifests(store)
	if err != nil {
		return nil, err
	}
	head, err := s.dir.Head(store)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, capsule.ErrManifest) {
		return nil, s.settle(err)
	}
	var roots []merkle.Hash
	for _, f := range files {
		switch {
		case !root.IsZero() && f.Root != root:
		case f.Root == head:
			roots = append([]merkle.Hash{f.Root}, roots...)
		default:
			roots = append(roots, f.Root)
		}
	}
	if len(roots) == 0 && root.IsZero() {
		return nil, notFound(fmt.Sprintf("remove store %v", store))
	}
	if len(roots) == 0 {
		return nil, notFound(fmt.Sprintf("remove root %v of store %v", root, store))
	}
	return roots, nil
}

// Orphans implements OrphanLister. If a manifest cannot be read, it yields only the error.
func (s *Dir) Orphans(ctx context.Context) iter.Seq2[Orphan, error] {
	return func(yield func(Orphan, error) bool) {
		s.mu.Lock()
		l, err := s.read(ctx)
		s.mu.Unlock()
		if err == nil {
			err = l.damaged
		}
		if err != nil {
			yield(Orphan{}, fmt.Errorf("list content without a generation: %w", err))
			return
		}
		for c, err := range s.dir.Contents(ctx) {
			if err != nil {
				yield(Orphan{}, s.settle(err))
				return
			}
			s.mu.Lock()
			referenced := l.referenced(c.Hash)
			s.mu.Unlock()
			if !referenced && !yield(Orphan{c.Hash, c.Size, c.Modified}, nil) {
				return
			}
		}
	}
}

// Usage implements Storage.
func (s *Dir) Usage(ctx context.Context) (Usage, error) {
	if ctx.Err() != nil {
		return Usage{}, context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := s.read(ctx)
	if err != nil {
		return Usage{}, fmt.Errorf("usage: %w", err)
	}
	u := Usage{Capsules: l.capsules, Bytes: l.bytes, Free: -1}
	for _, e := range l.entries {
		if e.present && e.refs == 0 {
			u.Staged++
		}
	}
	for id, err := range s.dir.StoreDirs(ctx) {
		if err != nil {
			return Usage{}, s.settle(err)
		}
		files, err := s.dir.Manifests(id)
		if err != nil {
			return Usage{}, s.settle(err)
		}
		if u.Generations += len(files); len(files) > 0 {
			u.Stores++
		}
	}
	if s.fs == nil {
		if free, err := diskfs.Free(s.path); err == nil {
			u.Free = free
		}
	}
	return u, nil
}
