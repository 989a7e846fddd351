package cache

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
)

// A flight is one load of a capsule that several reads may wait for. Its context ends when all
// of them have left.
type flight struct {
	d       capsule.Descriptor
	stores  []auth.StoreID // who asked
	waiters int            // under the cache's lock
	keep    bool           // under the cache's lock: the result is taken up
	removed uint64         // the cache's count when it began
	cancel  context.CancelFunc
	done    chan struct{}

	// The result, when done is closed.
	content []byte
	file    bool // the content is in a file of L2 that L1 does not admit
	hit     Hit
	err     error
}

// join returns the flight of a capsule, which it starts when there is none. The caller holds mu,
// which is released.
func (c *Cache) join(d capsule.Descriptor, store auth.StoreID) *flight {
	defer c.mu.Unlock()
	f := c.flights[d.Hash]
	if f == nil || f.d.Size != d.Size || f.d.ChunkRoot != d.ChunkRoot {
		ctx, cancel := context.WithCancel(context.Background())
		f = &flight{d: d, keep: true, removed: c.removed, cancel: cancel, done: make(chan struct{})}
		if c.flights[d.Hash] == nil {
			c.flights[d.Hash] = f
		}
		go c.load(ctx, f)
	}
	f.waiters++
	if !store.IsZero() {
		f.stores = append(f.stores, store)
	}
	return f
}

// wait returns the result of a flight, or the error of ctx when that ends before.
func (f *flight) wait(ctx context.Context, c *Cache) (*Blob, Hit, error) {
	select {
	case <-f.done:
	case <-ctx.Done():
		c.leave(f)
		return nil, DiskRead, context.Cause(ctx)
	}
	if f.err != nil {
		return nil, DiskRead, f.err
	}
	if !f.file {
		return memoryBlob(f.d.Hash, f.content), f.hit, nil
	}
	if file, size, err := c.disk.open(f.d.Hash); err == nil && size == int64(f.d.Size) {
		return &Blob{hash: f.d.Hash, size: size, at: file, file: file}, f.hit, nil
	} else if err == nil {
		file.Close()
	}
	return c.readAlone(ctx, f.d) // the file has just left L2
}

// readAlone reads a capsule from the source for one caller.
func (c *Cache) readAlone(ctx context.Context, d capsule.Descriptor) (*Blob, Hit, error) {
	if err := c.loading.Acquire(ctx, c.weight(d)); err != nil {
		return nil, DiskRead, err
	}
	defer c.loading.Release(c.weight(d))
	content, err := c.read(ctx, d)
	if err != nil {
		return nil, DiskRead, err
	}
	c.count(func(s *Stats) { s.DiskReads++ })
	return memoryBlob(d.Hash, content), DiskRead, nil
}

// leave takes one waiter off a flight; the last one ends it.
func (c *Cache) leave(f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.waiters--; f.waiters > 0 {
		return
	}
	f.cancel()
	if c.flights[f.d.Hash] == f {
		delete(c.flights, f.d.Hash) // a later call starts a new one
	}
}

// load runs a flight.
func (c *Cache) load(ctx context.Context, f *flight) {
	defer f.cancel()
	defer close(f.done)
	f.err = c.loading.Acquire(ctx, c.weight(f.d))
	if f.err == nil {
		defer c.loading.Release(c.weight(f.d))
		f.err = c.fetch(ctx, f)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flights[f.d.Hash] == f {
		delete(c.flights, f.d.Hash)
	}
	if len(c.flights) == 0 {
		clear(c.gone)
	}
	if errors.Is(f.err, capsule.ErrContentMismatch) {
		c.stats.Mismatches++
	}
}

// weight is what a load takes of the bytes that all may hold. None takes more than there are.
func (c *Cache) weight(d capsule.Descriptor) int64 {
	return min(max(1, int64(d.Size)), c.o.Loading)
}

// fetch reads a capsule from a file of L2 or from the source, verifies it and takes it up.
func (c *Cache) fetch(ctx context.Context, f *flight) error {
	if c.disk != nil && c.fromFile(f) {
		return nil
	}
	content, err := c.read(ctx, f.d)
	if err != nil {
		return err
	}
	f.content, f.hit = content, DiskRead
	state, ok := c.writeFile(f.d.Hash, content)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.DiskReads++
	if !ok || !c.mayKeep(f) {
		c.unwrite(f.d.Hash, state)
		return nil
	}
	it := c.insert(f.d, content, auth.StoreID{}, state)
	for _, s := range f.stores {
		it.belongs(s)
	}
	return nil
}

// mayKeep reports whether the result of a flight is taken up: no store that asked was removed
// meanwhile. The caller holds mu.
func (c *Cache) mayKeep(f *flight) bool {
	if !f.keep {
		return false
	}
	for _, s := range f.stores {
		if c.gone[s] > f.removed {
			return false
		}
	}
	return len(f.stores) > 0 || c.removed == f.removed
}

// read reads a capsule of the source whole and verifies it.
func (c *Cache) read(ctx context.Context, d capsule.Descriptor) ([]byte, error) {
	rc, err := c.src.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return readVerified(ctx, rc, d)
}

func readVerified(ctx context.Context, rc io.ReadCloser, d capsule.Descriptor) ([]byte, error) {
	// no more than a quarter of a tier, and within the bytes of all loads
	content := make([]byte, d.Size)
	r := capsule.VerifyReader(rc, d)
	for at := 0; ; {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		end := min(at+1<<20, len(content))
		n, err := io.ReadFull(r, content[at:end])
		if at += n; at == len(content) && (err == nil || err == io.EOF) {
			if n == 0 || len(content) > 0 {
				_, err = r.Read(make([]byte, 1)) // an empty capsule is verified here
			}
			if err == io.EOF {
				return content, nil
			}
		}
		if err != nil {
			return nil, err
		}
	}
}

// fromFile answers a flight from L2's file, and promotes. It reports false when there is no file
// that verifies.
func (c *Cache) fromFile(f *flight) bool {
	c.mu.Lock()
	it := c.items[f.d.Hash]
	if it == nil || !it.inL2 {
		c.mu.Unlock()
		return false
	}
	seen := it.seen
	c.mu.Unlock()
	toL1 := c.admitsL1(int64(f.d.Size))
	content, state, err := c.disk.read(f.d, seen, toL1)
	c.mu.Lock()
	defer c.mu.Unlock()
	it = c.items[f.d.Hash]
	if err != nil {
		if errors.Is(err, capsule.ErrContentMismatch) {
			c.stats.Mismatches++
		}
		if it != nil && it.inL2 {
			c.l2.Remove(f.d.Hash)
			it.inL2 = false
			if !errors.Is(err, fs.ErrNotExist) {
				c.disk.remove(f.d.Hash)
			}
			c.settle(f.d.Hash, it)
		}
		return false
	}
	c.stats.L2Hits++
	f.hit, f.content, f.file = L2Hit, content, !toL1
	if it == nil || !it.inL2 || !c.mayKeep(f) {
		if f.file { // it left L2 while it was verified
			return false
		}
		return true
	}
	it.seen = state
	for _, s := range f.stores {
		it.belongs(s)
	}
	c.l2.Touch(f.d.Hash)
	if toL1 {
		it.content = content
		c.addL1(f.d.Hash, it)
		c.settle(f.d.Hash, it)
	}
	return true
}
