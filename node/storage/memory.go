package storage

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
)

// Memory is a Storage in memory. NewMemory returns one. Its content needs no verification.
type Memory struct {
	limit int64

	mu       sync.RWMutex
	bytes    int64
	contents map[merkle.Hash]*memoryContent
	refs     map[merkle.Hash]int  // places of committed generations that name a content
	staged   map[merkle.Hash]bool // put, and neither committed nor discarded since
	stores   map[auth.StoreID]*memoryStore
}

type memoryContent struct {
	b   []byte
	put time.Time
}

type memoryStore struct {
	head        merkle.Hash // zero: none
	generations map[merkle.Hash]*Generation
}

var (
	_ Storage      = (*Memory)(nil)
	_ OrphanLister = (*Memory)(nil)
)

// MemoryOptions are settings of a Memory. nil and the zero value mean the defaults.
type MemoryOptions struct {
	// Limit is the limit of all content in bytes; a Put above it is ErrNoSpace. 0 means no limit.
	Limit int64
}

// NewMemory returns an empty Memory.
func NewMemory(o *MemoryOptions) *Memory {
	if o == nil {
		o = new(MemoryOptions)
	}
	return &Memory{limit: o.Limit, contents: map[merkle.Hash]*memoryContent{},
		refs: map[merkle.Hash]int{}, staged: map[merkle.Hash]bool{},
		stores: map[auth.StoreID]*memoryStore{}}
}

// Put implements Storage. Content above the limit is read up to the limit only.
func (s *Memory) Put(ctx context.Context, d capsule.Descriptor, r io.Reader) error {
	if s.free(d) < int64(d.Size) {
		return fmt.Errorf("put capsule %v of %d bytes: %w", d.Hash, d.Size, ErrNoSpace)
	}
	var b bytes.Buffer // grows with what is read
	rc := capsule.VerifyReader(io.NopCloser(contextReader{ctx, r}), d)
	if _, err := b.ReadFrom(rc); err != nil {
		return fmt.Errorf("put capsule %v: %w", d.Hash, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.contents[d.Hash]; ok {
		s.staged[d.Hash] = true
		return nil
	}
	if s.limit > 0 && s.bytes+int64(d.Size) > s.limit {
		return fmt.Errorf("put capsule %v of %d bytes: %w", d.Hash, d.Size, ErrNoSpace)
	}
	s.staged[d.Hash] = true
	s.contents[d.Hash] = &memoryContent{b: slices.Clip(b.Bytes()), put: time.Now()}
	s.bytes += int64(d.Size)
	return nil
}

// free returns the room for a content, which is unlimited if the content is stored already.
func (s *Memory) free(d capsule.Descriptor) int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if _, ok := s.contents[d.Hash]; ok || s.limit <= 0 {
		return capsule.MaxSize
	}
	return s.limit - s.bytes
}

// contextReader is a reader that fails when its context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}

// Commit implements Storage.
func (s *Memory) Commit(ctx context.Context, g *Generation) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	err := g.check()
	if err == nil {
		err = g.Manifest.Check()
	}
	if err != nil {
		return err
	}
	m := g.Manifest
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range m.Capsules {
		c, ok := s.contents[d.Hash]
		if !ok {
			return notFound(fmt.Sprintf("commit root %v of store %v: content of capsule %d", m.Root,
				m.Store, d.Index))
		}
		if uint64(len(c.b)) != uint64(d.Size) {
			return fmt.Errorf("commit root %v of store %v: %w: capsule %d has %d bytes, expected %d",
				m.Root, m.Store, capsule.ErrContentMismatch, d.Index, len(c.b), d.Size)
		}
	}
	st := s.stores[m.Store]
	if st == nil {
		st = &memoryStore{generations: map[merkle.Hash]*Generation{}}
		s.stores[m.Store] = st
	}
	old := st.generations[m.Root]
	kept := *m
	kept.Capsules = slices.Clone(m.Capsules)
	st.generations[m.Root] = &Generation{Manifest: &kept, Meta: bytes.Clone(g.Meta)}
	for _, d := range m.Capsules {
		delete(s.staged, d.Hash)
	}
	s.count(&kept, 1)
	if old != nil {
		s.count(old.Manifest, -1)
	}
	if g.Head {
		st.head = m.Root
	}
	return nil
}

// count adds to the references of the content of a manifest.
func (s *Memory) count(m *capsule.Manifest, by int) {
	for _, d := range m.Capsules {
		if s.refs[d.Hash] += by; s.refs[d.Hash] == 0 {
			delete(s.refs, d.Hash)
		}
	}
}

// Stat implements Storage.
func (s *Memory) Stat(ctx context.Context, ref capsule.Ref) (capsule.Descriptor, error) {
	g, err := s.Generation(ctx, ref.Store, ref.Root)
	if err != nil {
		return capsule.Descriptor{}, err
	}
	return at(g.Manifest, ref)
}

// Open implements Storage.
func (s *Memory) Open(
	ctx context.Context, d capsule.Descriptor, off, n int64,
) (io.ReadCloser, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	from, length, err := part(d, off, n)
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	c, ok := s.contents[d.Hash]
	s.mu.RUnlock()
	if !ok {
		return nil, notFound(fmt.Sprintf("open capsule %v", d.Hash))
	}
	if uint64(len(c.b)) != uint64(d.Size) {
		return nil, fmt.Errorf("open capsule %v: %w: found %d bytes, expected %d", d.Hash,
			capsule.ErrContentMismatch, len(c.b), d.Size)
	}
	return memoryReader{bytes.NewReader(c.b[from : from+length])}, nil
}

type memoryReader struct{ *bytes.Reader }

func (memoryReader) Close() error { return nil }

// Stores implements Storage.
func (s *Memory) Stores(ctx context.Context) iter.Seq2[auth.StoreID, error] {
	return func(yield func(auth.StoreID, error) bool) {
		s.mu.RLock()
		ids := slices.SortedFunc(maps.Keys(s.stores), auth.StoreID.Compare)
		s.mu.RUnlock()
		for _, id := range ids {
			if ctx.Err() != nil {
				yield(auth.StoreID{}, context.Cause(ctx))
				return
			}
			if !yield(id, nil) {
				return
			}
		}
	}
}

// Generations implements Storage.
func (s *Memory) Generations(
	ctx context.Context, store auth.StoreID,
) iter.Seq2[*Generation, error] {
	return func(yield func(*Generation, error) bool) {
		for _, g := range s.generations(store) {
			if ctx.Err() != nil {
				yield(nil, context.Cause(ctx))
				return
			}
			if !yield(g, nil) {
				return
			}
		}
	}
}

// generations returns those of a datastore, ascending by root.
func (s *Memory) generations(store auth.StoreID) []*Generation {
	s.mu.RLock()
	defer s.mu.RUnlock()
	st := s.stores[store]
	if st == nil {
		return nil
	}
	var all []*Generation
	for _, root := range slices.SortedFunc(maps.Keys(st.generations), merkle.Hash.Compare) {
		all = append(all, st.generation(root))
	}
	return all
}

// generation returns a copy that says whether it is the head.
func (st *memoryStore) generation(root merkle.Hash) *Generation {
	g := *st.generations[root]
	g.Head = root == st.head
	return &g
}

// Generation implements Storage.
func (s *Memory) Generation(
	ctx context.Context, store auth.StoreID, root merkle.Hash,
) (*Generation, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	st := s.stores[store]
	if st == nil {
		return nil, notFound(fmt.Sprintf("store %v", store))
	}
	root = cmp.Or(root, st.head)
	if st.generations[root] == nil {
		return nil, notFound(fmt.Sprintf("root %v of store %v", root, store))
	}
	return st.generation(root), nil
}

// Held implements Storage.
func (s *Memory) Held(
	ctx context.Context, store auth.StoreID,
) iter.Seq2[capsule.Descriptor, error] {
	return held(ctx, s.Generations(ctx, store), func(d capsule.Descriptor) (bool, error) {
		s.mu.RLock()
		defer s.mu.RUnlock()
		return s.contents[d.Hash] != nil, nil
	})
}

// held yields the held capsules of generations, each content once.
func held(
	ctx context.Context, generations iter.Seq2[*Generation, error],
	there func(capsule.Descriptor) (bool, error),
) iter.Seq2[capsule.Descriptor, error] {
	return func(yield func(capsule.Descriptor, error) bool) {
		seen := map[merkle.Hash]bool{}
		for g, err := range generations {
			if err != nil {
				if !yield(capsule.Descriptor{}, err) {
					return
				}
				continue
			}
			for _, d := range g.Manifest.Capsules {
				if seen[d.Hash] {
					continue
				}
				seen[d.Hash] = true
				ok, err := there(d)
				if ctx.Err() != nil {
					err = context.Cause(ctx)
				}
				if err != nil {
					yield(capsule.Descriptor{}, err)
					return
				}
				if ok && !yield(d, nil) {
					return
				}
			}
		}
	}
}

// Discard implements Storage.
func (s *Memory) Discard(ctx context.Context, hashes []merkle.Hash) error {
	return s.drop(ctx, hashes, func(hash merkle.Hash) bool { return s.refs[hash] == 0 })
}

// Release implements Storage.
func (s *Memory) Release(ctx context.Context, hashes []merkle.Hash) error {
	return s.drop(ctx, hashes, func(merkle.Hash) bool { return true })
}

func (s *Memory) drop(
	ctx context.Context, hashes []merkle.Hash, which func(merkle.Hash) bool,
) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, hash := range hashes {
		delete(s.staged, hash)
		if c := s.contents[hash]; c != nil && which(hash) {
			s.remove(hash, c)
		}
	}
	return nil
}

func (s *Memory) remove(hash merkle.Hash, c *memoryContent) {
	delete(s.contents, hash)
	s.bytes -= int64(len(c.b))
}

// Remove implements Storage.
func (s *Memory) Remove(ctx context.Context, store auth.StoreID, root merkle.Hash) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stores[store]
	if st == nil {
		return notFound(fmt.Sprintf("remove store %v", store))
	}
	if !root.IsZero() && st.generations[root] == nil {
		return notFound(fmt.Sprintf("remove root %v of store %v", root, store))
	}
	for r, g := range st.generations {
		if !root.IsZero() && r != root {
			continue
		}
		delete(st.generations, r)
		s.count(g.Manifest, -1)
		for _, d := range g.Manifest.Capsules {
			if c := s.contents[d.Hash]; c != nil && s.refs[d.Hash] == 0 && !s.staged[d.Hash] {
				s.remove(d.Hash, c)
			}
		}
		if st.head == r {
			st.head = merkle.Hash{}
		}
	}
	if len(st.generations) == 0 {
		delete(s.stores, store)
	}
	return nil
}

// Orphans implements OrphanLister.
func (s *Memory) Orphans(ctx context.Context) iter.Seq2[Orphan, error] {
	return func(yield func(Orphan, error) bool) {
		s.mu.RLock()
		var list []Orphan
		for hash, c := range s.contents {
			if s.refs[hash] == 0 {
				list = append(list, Orphan{hash, int64(len(c.b)), c.put})
			}
		}
		s.mu.RUnlock()
		slices.SortFunc(list, func(a, b Orphan) int { return a.Hash.Compare(b.Hash) })
		for _, o := range list {
			if ctx.Err() != nil {
				yield(Orphan{}, context.Cause(ctx))
				return
			}
			if !yield(o, nil) {
				return
			}
		}
	}
}

// Usage implements Storage.
func (s *Memory) Usage(ctx context.Context) (Usage, error) {
	if ctx.Err() != nil {
		return Usage{}, context.Cause(ctx)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	u := Usage{Stores: len(s.stores), Capsules: len(s.contents), Bytes: s.bytes, Free: -1}
	for _, st := range s.stores {
		u.Generations += len(st.generations)
	}
	for hash := range s.contents {
		if s.refs[hash] == 0 {
			u.Staged++
		}
	}
	if s.limit > 0 {
		u.Free = max(0, s.limit-s.bytes)
	}
	return u, nil
}
