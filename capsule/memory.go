package capsule

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"slices"
	"sync"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// Memory is a Store and Lister in memory. The zero value is empty and ready. What it opens is a
// *bytes.Reader with a Close, and needs no verification.
type Memory struct {
	mu       sync.RWMutex
	contents map[merkle.Hash][]byte
	stores   map[auth.StoreID]*memoryStore
}

type memoryStore struct {
	head        merkle.Hash
	generations map[merkle.Hash]*Manifest
}

var (
	_ Store  = (*Memory)(nil)
	_ Lister = (*Memory)(nil)
)

// Put implements Store.
func (s *Memory) Put(ctx context.Context, d Descriptor, r io.Reader) error {
	var b bytes.Buffer // grows with what is read
	h := NewHasher()
	if err := copyContent(ctx, io.MultiWriter(&b, h), r, d); err != nil {
		return err
	}
	if err := d.Matches(h.Descriptor(d.Index)); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.contents == nil {
		s.contents = make(map[merkle.Hash][]byte)
	}
	if _, ok := s.contents[d.Hash]; !ok {
		s.contents[d.Hash] = slices.Clip(b.Bytes())
	}
	return nil
}

// copyContent copies r to w until its end, and fails when it is not d.Size bytes long or ctx ends.
func copyContent(ctx context.Context, w io.Writer, r io.Reader, d Descriptor) error {
	buf := make([]byte, BlockSize)
	for n := uint64(0); ; {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		m, err := r.Read(buf)
		if n += uint64(m); n > uint64(d.Size) {
			return fmt.Errorf("%w: capsule %d: found more than %d bytes", ErrContentMismatch,
				d.Index, d.Size)
		}
		if _, werr := w.Write(buf[:m]); werr != nil {
			return werr
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read capsule %d: %w", d.Index, err)
		}
	}
}

// Commit implements Store.
func (s *Memory) Commit(ctx context.Context, m *Manifest) error {
	if err := m.Check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range m.Capsules {
		content, ok := s.contents[d.Hash]
		if !ok {
			return notPut(m, d)
		}
		if uint64(len(content)) != uint64(d.Size) {
			return sizeDiffers(m, d, int64(len(content)))
		}
	}
	if s.stores == nil {
		s.stores = make(map[auth.StoreID]*memoryStore)
	}
	st := s.stores[m.Store]
	if st == nil {
		st = &memoryStore{generations: make(map[merkle.Hash]*Manifest)}
		s.stores[m.Store] = st
	}
	kept := *m
	kept.Capsules = slices.Clone(m.Capsules)
	st.generations[m.Root] = &kept
	st.head = m.Root
	return nil
}

func notPut(m *Manifest, d Descriptor) error {
	return fmt.Errorf("commit root %v of store %v: capsule %d was not put: %w", m.Root, m.Store,
		d.Index, fs.ErrNotExist)
}

func sizeDiffers(m *Manifest, d Descriptor, size int64) error {
	return fmt.Errorf("commit root %v of store %v: %w: capsule %d has %d bytes, expected %d",
		m.Root, m.Store, ErrContentMismatch, d.Index, size, d.Size)
}

// Stat implements Source.
func (s *Memory) Stat(ctx context.Context, ref Ref) (Descriptor, error) {
	m, err := s.Manifest(ctx, ref.Store, ref.Root)
	if err != nil {
		return Descriptor{}, err
	}
	return m.at(ref)
}

// at returns the descriptor at ref, whose root is m's or zero.
func (m *Manifest) at(ref Ref) (Descriptor, error) {
	if uint64(ref.Index) >= uint64(len(m.Capsules)) {
		return Descriptor{}, fmt.Errorf("capsule %v: %w: generation has %d capsules", ref,
			fs.ErrNotExist, len(m.Capsules))
	}
	return m.Capsules[ref.Index], nil
}

// Open implements Source.
func (s *Memory) Open(ctx context.Context, d Descriptor) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	content, ok := s.contents[d.Hash]
	if !ok {
		return nil, fmt.Errorf("open capsule %v: %w", d.Hash, fs.ErrNotExist)
	}
	if uint64(len(content)) != uint64(d.Size) {
		return nil, fmt.Errorf("open capsule %v: %w: found %d bytes, expected %d", d.Hash,
			ErrContentMismatch, len(content), d.Size)
	}
	return memoryReader{bytes.NewReader(content)}, nil
}

type memoryReader struct{ *bytes.Reader }

func (memoryReader) Close() error { return nil }

// Stores implements Lister.
func (s *Memory) Stores(ctx context.Context) iter.Seq2[auth.StoreID, error] {
	return func(yield func(auth.StoreID, error) bool) {
		s.mu.RLock()
		var ids []auth.StoreID
		for id := range s.stores {
			ids = append(ids, id)
		}
		s.mu.RUnlock()
		slices.SortFunc(ids, auth.StoreID.Compare)
		for _, id := range ids {
			if err := ctx.Err(); err != nil {
				yield(auth.StoreID{}, err)
				return
			}
			if !yield(id, nil) {
				return
			}
		}
	}
}

// Manifest implements Lister.
func (s *Memory) Manifest(
	ctx context.Context, store auth.StoreID, root merkle.Hash,
) (*Manifest, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	st := s.stores[store]
	if st == nil {
		return nil, fmt.Errorf("store %v: %w", store, fs.ErrNotExist)
	}
	m := st.generations[cmp.Or(root, st.head)]
	if m == nil {
		return nil, fmt.Errorf("root %v of store %v: %w", root, store, fs.ErrNotExist)
	}
	return m, nil
}
