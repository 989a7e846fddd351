package rpc

import (
	"context"
	"crypto/sha256"
	"io"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/semaphore"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/rpc"
	"github.com/dig-network/digstore/remote/server"
)

// Limits of the hashing of modules, which any client can cause.
const (
	keptPrograms   = 4096 // hashes in the cache
	listedPrograms = 16   // newest generations of a list that are shown with a cached hash
	hashedAtOnce   = 2    // modules that are read concurrently
	hashingWaiting = 16   // modules that are being read or are waiting
)

// errHashing says that too many modules wait to be hashed.
var errHashing = &rpc.Error{Code: rpc.CodeLimited,
	Message: "too many modules are being hashed: ask again later"}

// programs computes and caches the SHA-256 of modules. Concurrent callers share one read of a
// module, which is canceled when none of them waits. Safe for concurrent use.
type programs struct {
	open   func(context.Context, module.ID) (io.ReadSeekCloser, error)
	slots  *semaphore.Weighted
	known  *lru.Cache[server.ContentKey, merkle.Hash]
	hashed *lru.Cache[module.ID, struct{}] // generations with a hash in known

	mu      sync.Mutex
	running map[module.ID]*hashing
}

// A hashing is one module that is being read.
type hashing struct {
	waiting int // number of callers that wait; at 0 the read is canceled
	cancel  context.CancelFunc
	done    chan struct{} // closed when sum and err are set
	sum     merkle.Hash
	err     error
}

func newPrograms(open func(context.Context, module.ID) (io.ReadSeekCloser, error)) *programs {
	known, err := lru.New[server.ContentKey, merkle.Hash](keptPrograms)
	if err != nil {
		panic("rpc: " + err.Error()) // the size is positive
	}
	hashed, err := lru.New[module.ID, struct{}](keptPrograms)
	if err != nil {
		panic("rpc: " + err.Error()) // the size is positive
	}
	return &programs{open: open, slots: semaphore.NewWeighted(hashedAtOnce), known: known,
		hashed: hashed, running: make(map[module.ID]*hashing)}
}

// remembered returns the cached SHA-256 of a module, if the module has not changed.
func (p *programs) remembered(ctx context.Context, id module.ID) (merkle.Hash, bool) {
	if !p.hashed.Contains(id) {
		return merkle.Hash{}, false
	}
	key, err := p.key(ctx, id)
	if err != nil {
		return merkle.Hash{}, false
	}
	return p.known.Get(key)
}

// hash returns the SHA-256 of a module. The error is errHashing if too many modules wait.
func (p *programs) hash(ctx context.Context, id module.ID) (merkle.Hash, error) {
	if sum, ok := p.remembered(ctx, id); ok {
		return sum, nil
	}
	h, err := p.join(ctx, id)
	if err != nil {
		return merkle.Hash{}, err
	}
	defer p.leave(id, h)
	select {
	case <-h.done:
		return h.sum, h.err
	case <-ctx.Done():
		return merkle.Hash{}, ctx.Err()
	}
}

// join adds a waiter for a module and starts the read if there is none. The caller calls leave.
func (p *programs) join(ctx context.Context, id module.ID) (*hashing, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.running[id]
	if h == nil {
		if len(p.running) >= hashingWaiting {
			return nil, errHashing
		}
		own, cancel := context.WithCancel(context.WithoutCancel(ctx)) // shared by all waiters
		h = &hashing{cancel: cancel, done: make(chan struct{})}
		p.running[id] = h
		go p.run(own, id, h)
	}
	h.waiting++
	return h, nil
}

// leave removes a waiter. The last one cancels the read.
func (p *programs) leave(id module.ID, h *hashing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h.waiting--; h.waiting == 0 {
		h.cancel()
		p.forget(id, h)
	}
}

// forget removes h from running, so that the next join starts a new read. The caller holds mu.
func (p *programs) forget(id module.ID, h *hashing) {
	if p.running[id] == h {
		delete(p.running, id)
	}
}

func (p *programs) run(ctx context.Context, id module.ID, h *hashing) {
	h.sum, h.err = p.read(ctx, id)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forget(id, h)
	close(h.done)
}

// read hashes a module. At most hashedAtOnce reads run concurrently.
func (p *programs) read(ctx context.Context, id module.ID) (merkle.Hash, error) {
	if err := p.slots.Acquire(ctx, 1); err != nil {
		return merkle.Hash{}, err
	}
	defer p.slots.Release(1)
	m, err := p.open(ctx, id)
	if err != nil {
		return merkle.Hash{}, err
	}
	defer m.Close()
	key, err := server.KeyOf(id, m)
	if err != nil {
		return merkle.Hash{}, err
	}
	sum := sha256.New()
	into := &stoppable{ctx, sum}
	if w, ok := m.(io.WriterTo); ok {
		_, err = w.WriteTo(into)
	} else {
		_, err = io.CopyBuffer(into, struct{ io.Reader }{m}, make([]byte, 256<<10))
	}
	if err != nil {
		return merkle.Hash{}, err
	}
	hash := merkle.Hash(sum.Sum(nil))
	if key.Known() {
		p.known.Add(key, hash)
		p.hashed.Add(id, struct{}{})
	}
	return hash, nil
}

// key returns the current content key of the module of a generation.
func (p *programs) key(ctx context.Context, id module.ID) (server.ContentKey, error) {
	m, err := p.open(ctx, id)
	if err != nil {
		return server.ContentKey{}, err
	}
	defer m.Close()
	return server.KeyOf(id, m)
}

// stoppable is a writer that fails once its context is done.
type stoppable struct {
	ctx context.Context
	io.Writer
}

func (s *stoppable) Write(b []byte) (int, error) {
	if s.ctx.Err() != nil {
		return 0, s.ctx.Err()
	}
	return s.Writer.Write(b)
}
