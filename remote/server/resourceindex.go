package server

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/readerat"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// Limits of the cache of a ResourceIndex: generations, and their resources in total. A generation
// with more resources than keptResources is cached alone.
const (
	keptModules   = 32
	keptResources = 1 << 19
)

// A ResourceIndex serves single resources of the generations of a [Backend]. It has a response for
// every retrieval key, a decoy if the generation has no such resource (remote/PROTOCOL.md 8.4). The
// content and proof routes and the JSON-RPC tier of package rpc must share one, see
// [Server.Resources]: responses that differed would reveal the decoys.
//
// It caches keys and leaves of the generations used last, about 150 bytes a resource, and keeps no
// reader open between two requests. Safe for concurrent use.
type ResourceIndex struct {
	back     Backend
	revoker  Revoker // nil: no tombstones
	withhold bool
	only     func(auth.StoreID) bool // nil: every store
	decoys   decoys
	damage   *damageTracker

	mu      sync.Mutex // held while modules is changed in more than one step
	modules *lru.Cache[ContentKey, *indexedModule]
}

// ResourceIndexOptions are the choices of a [ResourceIndex].
type ResourceIndexOptions struct {
	// Decoys is the kind of decoys. Default [DecoyKeyed].
	Decoys DecoyKind
	// Secret derives keyed decoys. Anyone who knows it can recognize them. Decoys change with the
	// secret, so a new secret after a restart reveals them: pass 32 random bytes that the program
	// keeps. nil: a random secret for the life of the ResourceIndex.
	Secret []byte
	// WithholdRevoked refuses resources of revoked roots with [auth.ErrRevoked].
	WithholdRevoked bool
}

// NewResourceIndex returns a ResourceIndex over b. o may be nil. It starts no goroutines and needs
// no closing.
func NewResourceIndex(b Backend, o *ResourceIndexOptions) *ResourceIndex {
	if o == nil {
		o = new(ResourceIndexOptions)
	}
	c := &ResourceIndex{back: b, withhold: o.WithholdRevoked, decoys: newDecoys(o.Decoys, o.Secret),
		modules: newLRU[ContentKey, *indexedModule](keptModules)}
	able := optionalOf(b)
	c.revoker = able.revoker
	c.damage = newDamageTracker(b, able.catalog, slog.New(slog.DiscardHandler), time.Now)
	return c
}

// Head returns [Backend] Head of s.
func (c *ResourceIndex) Head(ctx context.Context, s auth.StoreID) (auth.SignedRoot, error) {
	if !c.serves(s) {
		return auth.SignedRoot{}, fmt.Errorf("store %s is not served: %w", s, fs.ErrNotExist)
	}
	if err := c.damage.refuse(ctx, s); err != nil {
		return auth.SignedRoot{}, err
	}
	head, err := c.back.Head(ctx, s)
	c.damage.note(ctx, module.ID{Store: s}, err)
	return head, err
}

// Generations returns [Backend] Generations of s.
func (c *ResourceIndex) Generations(ctx context.Context, s auth.StoreID) ([]module.Generation,
	error) {
	if !c.serves(s) {
		return nil, fmt.Errorf("store %s is not served: %w", s, fs.ErrNotExist)
	}
	if err := c.damage.refuse(ctx, s); err != nil {
		return nil, err
	}
	list, err := c.back.Generations(ctx, s)
	c.damage.note(ctx, module.ID{Store: s}, err)
	return list, err
}

// Module opens a module as [Backend] Module does. A withheld root is [auth.ErrRevoked]. The caller
// closes the result.
func (c *ResourceIndex) Module(ctx context.Context, s auth.StoreID,
	root merkle.Hash) (io.ReadSeekCloser, error) {
	if !c.serves(s) {
		return nil, fmt.Errorf("store %s is not served: %w", s, fs.ErrNotExist)
	}
	if err := c.withheld(ctx, module.ID{Store: s, Root: root}); err != nil {
		return nil, err
	}
	id := module.ID{Store: s, Root: root}
	if err := c.damage.refuse(ctx, s); err != nil {
		return nil, err
	}
	m, err := c.back.Module(ctx, s, root)
	if err != nil {
		c.damage.note(ctx, id, err)
		return nil, err
	}
	return c.damage.watchModule(ctx, id, m), nil
}

func (c *ResourceIndex) serves(s auth.StoreID) bool { return c.only == nil || c.only(s) }

// withheld returns auth.ErrRevoked for a revoked root if WithholdRevoked is set.
func (c *ResourceIndex) withheld(ctx context.Context, id module.ID) error {
	if !c.withhold || c.revoker == nil {
		return nil
	}
	ts, err := c.revoker.Tombstones(ctx, id.Store)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if isRevoked(ts, id.Root) {
		return fmt.Errorf("generation %s is withheld: %w", id, auth.ErrRevoked)
	}
	return nil
}

// Open returns the resource of a retrieval key in a confirmed generation, or a decoy. The result
// does not reveal which. A generation that is not held and an unknown store are [fs.ErrNotExist].
// The caller closes the result.
func (c *ResourceIndex) Open(ctx context.Context, id module.ID, key merkle.Hash) (*SealedResource,
	error) {
	v, err := c.take(ctx, id)
	if err != nil {
		return nil, err
	}
	content, err := c.decoys.makeDecoy(v, key)
	if err != nil {
		c.forget(v)
		v.release()
		return nil, fmt.Errorf("look up a resource of generation %s: %w", id, err)
	}
	content.close = sync.OnceValue(func() error { v.release(); return nil })
	return content, nil
}

// Metadata returns section 6 of a generation's module, or nil if it has none. A generation that is
// not held is [fs.ErrNotExist].
func (c *ResourceIndex) Metadata(ctx context.Context, id module.ID) (*module.Metadata, error) {
	v, err := c.take(ctx, id)
	if err != nil {
		return nil, err
	}
	defer v.release()
	m, err := v.mod.Metadata()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return m, err
}

// take opens a generation and acquires it. The caller releases it.
func (c *ResourceIndex) take(ctx context.Context, id module.ID) (*indexedModule, error) {
	if !c.serves(id.Store) {
		return nil, fmt.Errorf("store %s is not served: %w", id.Store, fs.ErrNotExist)
	}
	if err := c.withheld(ctx, id); err != nil {
		return nil, err
	}
	if err := c.damage.refuse(ctx, id.Store); err != nil {
		return nil, err
	}
	// Another request may share the reader and use it after this one ends.
	m, err := c.back.Module(context.WithoutCancel(ctx), id.Store, id.Root)
	if err != nil {
		c.damage.note(ctx, id, err)
		return nil, fmt.Errorf("open generation %s: %w", id, err)
	}
	file := c.damage.watchModule(ctx, id, m)
	key, err := KeyOf(id, file)
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("open generation %s: %w", id, err)
	}
	var v *indexedModule
	kept := false
	if key.Known() {
		v, kept = c.modules.Get(key)
	}
	if !kept {
		v = &indexedModule{id: id, key: key}
	}
	fresh, err := v.acquire(file)
	if err != nil {
		c.forget(v)
		return nil, fmt.Errorf("open generation %s: %w", id, err)
	}
	if !kept && key.Known() { // only after success, so that a failure evicts nothing
		c.modules.ContainsOrAdd(key, v)
	}
	if fresh {
		c.trim()
	}
	return v, nil
}

// forget drops a module from the cache, so that the next request parses it again.
func (c *ResourceIndex) forget(v *indexedModule) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if kept, ok := c.modules.Peek(v.key); ok && kept == v {
		c.modules.Remove(v.key)
	}
}

// trim drops the least recently used modules until the others fit in keptResources.
func (c *ResourceIndex) trim() {
	c.mu.Lock()
	defer c.mu.Unlock()
	sum := int64(0)
	for _, v := range c.modules.Values() {
		sum += v.weight.Load()
	}
	for sum > keptResources && c.modules.Len() > 1 {
		_, v, _ := c.modules.RemoveOldest()
		sum -= v.weight.Load()
	}
}

// An indexedModule is one generation, parsed once. Its reader is open between acquire and the last
// release.
type indexedModule struct {
	id  module.ID
	key ContentKey

	weight atomic.Int64 // number of keys and chunks in memory

	mu    sync.Mutex
	users int
	file  io.ReadSeekCloser
	at    io.ReaderAt // over file; constant while users > 0
	mod   *module.Module
	keys  []merkle.Hash // distinct and sorted: the index of a key is the rank of its leaf
	// gated: the module requires a token, so every response is a decoy
	// (digstore/module/FORMAT.md 5.4).
	gated bool

	hashing sync.Mutex
	chunks  []poolChunk // set by the first call of pool
}

// ReadAt implements io.ReaderAt over the open reader.
func (v *indexedModule) ReadAt(p []byte, off int64) (int, error) { return v.at.ReadAt(p, off) }

// acquire adds a user and takes ownership of file. It closes file if a reader is already open. The
// first call parses the module and returns fresh.
func (v *indexedModule) acquire(file io.ReadSeekCloser) (fresh bool, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.users == 0 {
		v.file, v.at = file, readerat.New(file)
	} else {
		file.Close()
	}
	if v.mod == nil {
		if err := v.parse(); err != nil {
			v.file.Close() // there are no other users: they need a parsed module
			return false, err
		}
		fresh = true
	}
	v.users++
	return fresh, nil
}

func (v *indexedModule) release() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.users--; v.users == 0 {
		v.file.Close()
		v.file, v.at = nil, nil
	}
}

func (v *indexedModule) parse() error {
	size, err := v.file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	m, err := module.Open(v, size)
	if err != nil {
		return err
	}
	if m.ID() != v.id {
		return fmt.Errorf("%w: found module %s", wire.ErrVerification, m.ID())
	}
	var keys []merkle.Hash
	for row, err := range tableRows(m) {
		if err != nil {
			return err
		}
		keys = append(keys, row.Key)
	}
	slices.SortFunc(keys, merkle.Hash.Compare)
	v.keys = slices.Compact(keys)
	info, err := m.AuthInfo()
	v.gated = err == nil && info.RequiresJWT || err != nil && !errors.Is(err, fs.ErrNotExist)
	v.mod = m
	v.weight.Store(int64(len(v.keys)))
	return nil
}

// errCut says that the counts in a section exceed its size.
var errCut = fmt.Errorf("%w: a section counts more than it has", module.ErrFormat)

// tableRows yields the rows of a module's key table in file order (digstore/module/FORMAT.md 5.5).
// It stops after an error.
func tableRows(m *module.Module) func(yield func(module.KeyTableRow, error) bool) {
	return func(yield func(module.KeyTableRow, error) bool) {
		s, err := m.Section(module.SectionKeyTable)
		if err != nil {
			yield(module.KeyTableRow{}, fmt.Errorf("%w: %w", module.ErrFormat, err))
			return
		}
		r := bufio.NewReaderSize(s, 64<<10)
		left := s.Size()
		fill := func(p []byte) error {
			if left -= int64(len(p)); left < 0 {
				return errCut
			}
			_, err := io.ReadFull(r, p)
			return err
		}
		var head [4]byte
		if err := fill(head[:]); err != nil {
			yield(module.KeyTableRow{}, err)
			return
		}
		var fixed [68]byte
		var tail []byte
		for n := binary.BigEndian.Uint32(head[:]); n > 0; n-- {
			var row module.KeyTableRow
			err := fill(fixed[:])
			copy(row.Key[:], fixed[:])
			copy(row.Generation[:], fixed[32:])
			refs := int64(binary.BigEndian.Uint32(fixed[64:]))
			if err == nil && refs > (left-8)/4 {
				err = errCut
			}
			if err == nil {
				tail = slices.Grow(tail[:0], int(4*refs+8))[:4*refs+8]
				err = fill(tail)
			}
			if err != nil {
				yield(row, err)
				return
			}
			row.ChunkIndices = make([]uint32, refs)
			for i := range row.ChunkIndices {
				row.ChunkIndices[i] = binary.BigEndian.Uint32(tail[4*i:])
			}
			row.TotalSize = binary.BigEndian.Uint64(tail[4*refs:])
			if !yield(row, nil) {
				return
			}
		}
	}
}
