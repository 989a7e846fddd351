package remotetest

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/server"
)

var (
	_ server.Backend  = (*Stores)(nil)
	_ server.Receiver = (*Stores)(nil)
	_ server.Promoter = (*Stores)(nil)
	_ server.Revoker  = (*Stores)(nil)
	_ server.Catalog  = (*Stores)(nil)
)

// Stores is a [server.Backend] of stores in memory, with all optional interfaces. It is safe for
// concurrent use.
type Stores struct {
	now func() time.Time

	mu   sync.RWMutex
	byID map[auth.StoreID]*Memory
	// the identity that pushed the first generation of a store
	owners map[auth.StoreID]auth.PublicKey
}

// NewStores returns a backend of the given stores. Stores created by a push use the clock now; nil
// means [time.Now].
func NewStores(now func() time.Time, stores ...*Memory) *Stores {
	b := &Stores{now: now, byID: make(map[auth.StoreID]*Memory),
		owners: make(map[auth.StoreID]auth.PublicKey)}
	for _, m := range stores {
		b.byID[m.ID()] = m
	}
	return b
}

// Store returns one of the stores. The error is [fs.ErrNotExist] if there is none with that ID.
func (b *Stores) Store(s auth.StoreID) (*Memory, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if m, ok := b.byID[s]; ok {
		return m, nil
	}
	return nil, fmt.Errorf("store %s: %w", s, fs.ErrNotExist)
}

// Head implements [server.Backend].
func (b *Stores) Head(ctx context.Context, s auth.StoreID) (auth.SignedRoot, error) {
	m, err := b.Store(s)
	if err != nil {
		return auth.SignedRoot{}, err
	}
	return m.Head(ctx)
}

// Generations implements [server.Backend].
func (b *Stores) Generations(ctx context.Context, s auth.StoreID) ([]module.Generation, error) {
	m, err := b.Store(s)
	if err != nil {
		return nil, err
	}
	return m.Generations(ctx)
}

// Module implements [server.Backend].
func (b *Stores) Module(ctx context.Context, s auth.StoreID,
	root merkle.Hash) (io.ReadSeekCloser, error) {
	m, err := b.Store(s)
	if err != nil {
		return nil, err
	}
	return m.Module(ctx, root)
}

// Stores implements [server.Catalog].
func (b *Stores) Stores(context.Context) iter.Seq2[auth.StoreID, error] {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var ids []auth.StoreID
	for id := range b.byID {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, auth.StoreID.Compare)
	return func(yield func(auth.StoreID, error) bool) {
		for _, id := range ids {
			if !yield(id, nil) {
				return
			}
		}
	}
}

// CheckStore implements [server.Catalog]. Nothing in memory is damaged.
func (b *Stores) CheckStore(_ context.Context, s auth.StoreID) error {
	_, err := b.Store(s)
	return err
}

// SetOwner implements [server.Catalog].
func (b *Stores) SetOwner(_ context.Context, s auth.StoreID, owner auth.PublicKey) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.byID[s]; !ok {
		return fmt.Errorf("set owner of store %s: %w", s, fs.ErrNotExist)
	}
	b.owners[s] = owner
	return nil
}

// Owned implements [server.Catalog].
func (b *Stores) Owned(context.Context) iter.Seq2[module.Owned, error] {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var all []module.Owned
	for id, owner := range b.owners {
		all = append(all, module.Owned{Store: id, Owner: owner, Bytes: b.byID[id].chunks.bytes()})
	}
	return func(yield func(module.Owned, error) bool) {
		for _, o := range all {
			if !yield(o, nil) {
				return
			}
		}
	}
}

// Tombstones implements [server.Revoker].
func (b *Stores) Tombstones(ctx context.Context, s auth.StoreID) ([]auth.Tombstone, error) {
	m, err := b.Store(s)
	if err != nil {
		return nil, err
	}
	return m.Tombstones(ctx, s)
}

// Revoke implements [server.Revoker].
func (b *Stores) Revoke(ctx context.Context, t auth.Tombstone) error {
	m, err := b.Store(t.Store)
	if err != nil {
		return err
	}
	return m.Revoke(ctx, t)
}

// Line implements [server.Receiver].
func (b *Stores) Line(ctx context.Context, s auth.StoreID,
	root merkle.Hash) (module.Generation, error) {
	m, err := b.Store(s)
	if err != nil {
		return module.Generation{}, err
	}
	return m.Line(ctx, root)
}

// Receive implements [server.Receiver].
func (b *Stores) Receive(ctx context.Context, p module.Push, r io.Reader,
	check func(*module.Module) error) error {
	head := p.Head
	recipe, chunks, err := decompose(ctx, r, check)
	if err != nil {
		return fmt.Errorf("receive generation %s of store %s: %w", head.Root, head.Store, err)
	}
	b.mu.Lock()
	m, ok := b.byID[head.Store]
	if !ok {
		m = NewMemory(head.Store, b.now)
		b.byID[head.Store] = m
	}
	b.mu.Unlock()
	return m.receive(recipe, chunks, p)
}

// receive makes a decomposed and checked generation the head, or a pending root.
func (m *Memory) receive(recipe *module.Recipe, chunks *pool, p module.Push) error {
	head, parent := p.Head, p.Parent
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.line(head.Root) >= 0 {
		return fmt.Errorf("receive generation %s of store %s: it is in the history: %w",
			head.Root, m.id, fs.ErrExist)
	}
	if now := m.head().Root; parent != now {
		return fmt.Errorf("receive generation %s of store %s: parent %s, head %s: %w",
			head.Root, m.id, parent, now, module.ErrNotHead)
	}
	m.keep(recipe, chunks, head)
	if m.pins.Publisher.IsZero() {
		m.pins.Publisher = head.PublicKey
	}
	m.pending = slices.DeleteFunc(m.pending, func(p pendingRoot) bool { return p.root == head.Root })
	if p.Pending {
		m.pending = append(m.pending, pendingRoot{head.Root, parent, m.now()})
		return nil
	}
	m.advance(head.Root)
	return nil
}

// advance appends a line. The caller holds the lock.
func (m *Memory) advance(root merkle.Hash) {
	m.lines = append(m.lines, module.Generation{Number: uint64(len(m.lines)), Root: root,
		Time: m.now().UTC().Truncate(time.Second)})
}

// Pending implements [server.Promoter].
func (b *Stores) Pending(_ context.Context, s auth.StoreID) ([]module.Generation, error) {
	m, err := b.Store(s)
	if err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	var all []module.Generation
	for _, p := range m.pending {
		all = append(all, module.Generation{Number: uint64(len(m.lines)), Root: p.root, Time: p.at})
	}
	return all, nil
}

// Promote implements [server.Promoter].
func (b *Stores) Promote(_ context.Context, s auth.StoreID, root merkle.Hash) error {
	m, err := b.Store(s)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.pending, func(p pendingRoot) bool { return p.root == root })
	if i < 0 {
		return m.absent(root)
	}
	if now := m.head().Root; m.pending[i].parent != now {
		return fmt.Errorf("promote generation %s of store %s: parent %s, head %s: %w",
			root, s, m.pending[i].parent, now, module.ErrNotHead)
	}
	m.pending = slices.Delete(m.pending, i, i+1)
	m.advance(root)
	return nil
}

// Drop implements [server.Promoter].
func (b *Stores) Drop(_ context.Context, s auth.StoreID, root merkle.Hash) error {
	m, err := b.Store(s)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := len(m.pending)
	m.pending = slices.DeleteFunc(m.pending, func(p pendingRoot) bool { return p.root == root })
	if len(m.pending) < n {
		delete(m.held, root)
		delete(m.signed, root)
	}
	return nil
}

// Revert implements [server.Promoter].
func (b *Stores) Revert(_ context.Context, head auth.SignedRoot, parent merkle.Hash) error {
	m, err := b.Store(head.Store)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if now := m.head().Root; parent != now {
		return fmt.Errorf("revert store %s to generation %s: parent %s, head %s: %w",
			head.Store, head.Root, parent, now, module.ErrNotHead)
	}
	recipe, ok := m.held[head.Root]
	if !ok || m.line(head.Root) < 0 {
		return m.absent(head.Root)
	}
	m.keep(recipe, &pool{}, head)
	m.advance(head.Root)
	return nil
}
