package cache

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"sync"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
)

// VerifiedReader is an optional interface of what a Source opens. Its bytes have been verified
// against the chunk root of the descriptor when Read returns them. They are handed out while the
// rest is still being read, and are hashed as a whole before they are taken up.
type VerifiedReader interface {
	io.ReadCloser
	// HashKnown reports whether it is known that content with this chunk root has the hash of
	// the descriptor. Then the content is not hashed once more.
	HashKnown() bool
}

// A flight is one load of a capsule that several reads may wait for. Its context ends when all
// of them have left before there was anything to read.
type flight struct {
	d       capsule.Descriptor
	stores  []auth.StoreID // who asked
	waiters int            // under the cache's lock
	keep    bool           // under the cache's lock: the result is taken up
	removed uint64         // the cache's count when it began
	cancel  context.CancelFunc
	begun   chan struct{} // closed when content can be read as far as it was filled
	done    chan struct{} // closed when the load has ended; content may still be taken up

	// complete, under the cache's lock: all content is there, and the flight is still known.
	complete bool
	late     int // under the cache's lock: reads that came when it was complete

	fill    sync.Mutex
	filled  int           // bytes of content
	changed chan struct{} // closed when filled grows

	// The result, when done is closed; content is set when begun is.
	content []byte
	file    bool // the content is in a file of L2 that L1 does not admit
	hit     Hit
	err     error
}

// join returns the flight of a capsule, which it starts when there is none, and where the capsule
// was found: not in the source when the flight has it already. The caller holds mu, which is
// released.
func (c *Cache) join(d capsule.Descriptor, store auth.StoreID) (*flight, Hit) {
	defer c.mu.Unlock()
	f := c.flights[d.Hash]
	if f == nil || f.d.Size != d.Size || f.d.ChunkRoot != d.ChunkRoot {
		ctx, cancel := context.WithCancel(context.Background())
		f = &flight{d: d, keep: true, removed: c.removed, cancel: cancel,
			begun: make(chan struct{}), done: make(chan struct{}), changed: make(chan struct{})}
		if c.flights[d.Hash] == nil {
			c.flights[d.Hash] = f
		}
		c.loads++
		go c.load(ctx, f)
	}
	f.waiters++
	if !store.IsZero() {
		f.stores = append(f.stores, store)
	}
	return f, c.joinComplete(f)
}

// joinComplete counts a read of a flight that is complete as the hit that it would be had the
// content been taken up: first in L2, then in L1. The caller holds mu.
func (c *Cache) joinComplete(f *flight) Hit {
	if !f.complete {
		return DiskRead
	}
	f.late++
	if c.o.L2 > 0 && (f.late == 1 || !c.admitsL1(int64(f.d.Size))) {
		c.stats.L2Hits++
		return L2Hit
	}
	c.stats.L1Hits++
	return L1Hit
}

// wait returns the result of a flight, or the error of ctx when that ends before.
func (f *flight) wait(ctx context.Context, c *Cache, hit Hit) (*Blob, Hit, error) {
	select {
	case <-f.begun:
		if err := f.failed(); err != nil {
			return nil, DiskRead, err
		}
		at := &filling{f, ctx}
		return &Blob{hash: f.d.Hash, size: int64(f.d.Size), at: at}, hit, nil
	case <-f.done:
	case <-ctx.Done():
		c.leave(f)
		return nil, DiskRead, context.Cause(ctx)
	}
	if f.err != nil {
		return nil, DiskRead, f.err
	}
	if !f.file {
		return memoryBlob(f.d.Hash, f.content), max(hit, f.hit), nil
	}
	if file, size, err := c.disk.open(f.d.Hash); err == nil && size == int64(f.d.Size) {
		return &Blob{hash: f.d.Hash, size: size, at: file, file: file}, f.hit, nil
	} else if err == nil {
		file.Close()
	}
	return c.readAlone(ctx, f.d) // the file has just left L2
}

// failed returns the error of a flight that has ended.
func (f *flight) failed() error {
	select {
	case <-f.done:
		return f.err
	default:
		return nil
	}
}

// filling reads the content of a flight while that is being filled.
type filling struct {
	f   *flight
	ctx context.Context
}

// ReadAt implements io.ReaderAt. It waits for the bytes.
func (r *filling) ReadAt(p []byte, off int64) (int, error) {
	size := int64(len(r.f.content))
	if off < 0 {
		return 0, fs.ErrInvalid
	}
	if off >= size {
		return 0, io.EOF
	}
	end := min(off+int64(len(p)), size)
	filled, err := r.wait(end)
	n := copy(p, r.f.content[min(off, filled):min(end, filled)])
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

// wait waits until content is filled up to end, and returns how far it is.
func (r *filling) wait(end int64) (int64, error) {
	for {
		r.f.fill.Lock()
		filled, changed := int64(r.f.filled), r.f.changed
		r.f.fill.Unlock()
		if filled >= end {
			return filled, nil
		}
		select {
		case <-changed:
		case <-r.f.done:
			if r.f.err != nil {
				return filled, r.f.err
			}
		case <-r.ctx.Done():
			return filled, context.Cause(r.ctx)
		}
	}
}

// grow notes that n more bytes are there.
func (f *flight) grow(n int) {
	f.fill.Lock()
	defer f.fill.Unlock()
	f.filled += n
	close(f.changed)
	f.changed = make(chan struct{})
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
	err := c.loading.Acquire(ctx, c.weight(f.d))
	if err == nil {
		defer c.loading.Release(c.weight(f.d))
		err = c.fetch(ctx, f)
	}
	if err == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	f.err = err
	if errors.Is(err, capsule.ErrContentMismatch) {
		c.stats.Mismatches++
	}
	c.end(f)
	c.forgetFlight(f)
}

// end gives the result of a flight to those who wait. The caller holds mu.
func (c *Cache) end(f *flight) {
	c.loads--
	close(f.done)
}

// forgetFlight makes later reads start a new flight. The caller holds mu.
func (c *Cache) forgetFlight(f *flight) {
	if c.flights[f.d.Hash] == f {
		delete(c.flights, f.d.Hash)
	}
	if len(c.flights) == 0 {
		clear(c.gone)
	}
}

// weight is what a load takes of the bytes that all may hold. None takes more than there are.
func (c *Cache) weight(d capsule.Descriptor) int64 {
	return min(max(1, int64(d.Size)), c.o.Loading)
}

// fetch reads a capsule from a file of L2 or from the source, ends the flight, and takes the
// content up. When it fails the flight has not ended.
func (c *Cache) fetch(ctx context.Context, f *flight) error {
	if c.disk != nil && c.fromFile(f) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.end(f)
		c.forgetFlight(f)
		return nil
	}
	rc, err := c.src.Open(ctx, f.d)
	if err != nil {
		return err
	}
	defer rc.Close()
	if v, ok := rc.(VerifiedReader); ok {
		return c.stream(ctx, f, v)
	}
	content, err := readVerified(ctx, rc, f.d)
	if err != nil {
		return err
	}
	c.mu.Lock()
	f.content, f.hit = content, DiskRead
	c.stats.DiskReads++
	it := c.takeUp(f)
	c.behind.Add(1)
	defer c.behind.Done()
	c.end(f)
	c.forgetFlight(f)
	c.mu.Unlock()
	c.writeBehind(f.d.Hash, it, content)
	return nil
}

// streamPiece is how much is read before it is handed out.
const streamPiece = 256 << 10

// stream hands content out while it is read. What comes later, hashing it as a whole and writing it
// to L2, holds up no read.
func (c *Cache) stream(ctx context.Context, f *flight, rc VerifiedReader) error {
	f.content = make([]byte, f.d.Size)
	c.count(func(s *Stats) { s.DiskReads++ })
	close(f.begun)
	for at := 0; at < len(f.content); {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := io.ReadFull(rc, f.content[at:min(at+streamPiece, len(f.content))])
		if err != nil {
			return err
		}
		if at += n; at == len(f.content) {
			c.behind.Add(1)
			defer c.behind.Done()
			c.count(func(*Stats) { f.complete = f.keep })
		}
		f.grow(n)
	}
	c.mu.Lock()
	c.end(f)
	c.mu.Unlock()
	right := rc.HashKnown() || merkle.Sum(f.content) == f.d.Hash
	c.mu.Lock()
	var it *item
	if right {
		it = c.takeUp(f)
	} else {
		c.stats.Mismatches++
	}
	if it != nil && f.late > 0 {
		c.addL1(f.d.Hash, it)
	}
	f.complete = false
	c.forgetFlight(f)
	c.mu.Unlock()
	c.writeBehind(f.d.Hash, it, f.content)
	return nil
}

// takeUp puts the content of a flight into its tier, and returns nil when it must not. With L2 in
// files writeBehind follows. The caller holds mu.
func (c *Cache) takeUp(f *flight) *item {
	if !c.mayKeep(f) {
		return nil
	}
	it := c.items[f.d.Hash]
	if it == nil {
		it = &item{size: int64(f.d.Size)}
		c.items[f.d.Hash] = it
	}
	if it.content == nil {
		it.content = f.content
	}
	for _, s := range f.stores {
		it.belongs(s)
	}
	if c.o.L2 > 0 {
		it.writing = c.disk != nil && !it.inL2 && c.admitsL2(it.size)
		c.addL2(f.d.Hash, it)
	} else {
		c.addL1(f.d.Hash, it)
	}
	c.settle(f.d.Hash, it)
	return it
}

// writeBehind writes the file of an item that takeUp has put into L2.
func (c *Cache) writeBehind(hash merkle.Hash, it *item, content []byte) {
	if it == nil {
		return
	}
	c.mu.Lock()
	writing := it.writing
	c.mu.Unlock()
	if !writing {
		return
	}
	state, ok := c.writeFile(hash, content)
	c.mu.Lock()
	defer c.mu.Unlock()
	it.writing = false
	if c.items[hash] != it || !it.inL2 {
		c.unwrite(hash, state)
		return
	}
	if it.seen = state; !ok || !state.ok {
		c.l2.Remove(hash)
		it.inL2 = false
	}
	c.settle(hash, it)
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
