package cache

import (
	"context"
	"slices"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
)

// noContext is for reads of local files, which are short.
var noContext = context.Background()

// sequential is how far apart two reads of neighbours may be to count as reading one after the
// other.
const sequential = 30 * time.Second

// readerKey is one client's reading of one generation.
type readerKey struct {
	client string
	store  auth.StoreID
	root   merkle.Hash
}

type lastRead struct {
	index uint32
	at    time.Time
}

// noteRead queues what a client is likely to read next: after two neighbouring indices within 30
// s, the next few. When the queue is full they are left out.
func (c *Cache) noteRead(ref capsule.Ref, client string) {
	if client == "" || c.o.Prefetch == 0 || c.o.L1 == 0 {
		return
	}
	key, now := readerKey{client, ref.Store, ref.Root}, c.o.Now()
	c.mu.Lock()
	last, ok := c.readers.Get(key)
	c.readers.Add(key, lastRead{ref.Index, now})
	c.mu.Unlock()
	if !ok || last.index+1 != ref.Index || ref.Index == 0 || now.Sub(last.at) > sequential {
		return
	}
	for n := range uint32(c.o.Prefetch) {
		next := ref
		if next.Index += n + 1; next.Index <= n { // past the last index that there can be
			return
		}
		select {
		case c.queue <- next:
		default:
			return
		}
	}
}

// Run loads capsules ahead of clients that read one after the other, until ctx ends. Without it
// nothing is prefetched. It loads one capsule at a time, and only while nothing else is being
// loaded.
func (c *Cache) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case ref := <-c.queue:
			c.prefetch(ctx, ref)
		}
	}
}

// prefetch loads a capsule into L1's prefetch buffer. Whatever is in its way, it lets be.
func (c *Cache) prefetch(ctx context.Context, ref capsule.Ref) {
	d, err := c.Stat(ctx, ref)
	size := int64(d.Size)
	if err != nil || !c.admitsL1(size) {
		return
	}
	c.mu.Lock()
	it := c.items[d.Hash]
	busy := c.loads > 0 || it != nil && (it.content != nil || it.inL2) ||
		c.flights[d.Hash] != nil
	removed := c.removed
	c.mu.Unlock()
	if busy || !c.loading.TryAcquire(c.weight(d)) {
		return
	}
	defer c.loading.Release(c.weight(d))
	content, err := c.read(ctx, d)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.items[d.Hash] != nil || c.removed != removed {
		return
	}
	for len(c.ahead) > 0 && (c.aheadLen+size > c.o.L1/admitted ||
		c.l1.Bytes()+c.aheadLen+size > c.o.L1-c.pinned) {
		c.dropAhead()
	}
	if c.l1.Bytes()+c.aheadLen+size > c.o.L1-c.pinned { // no room without what has been touched
		return
	}
	it = &item{content: content, size: size, ahead: true}
	it.belongs(ref.Store)
	c.items[d.Hash] = it
	c.ahead = append(c.ahead, d.Hash)
	c.aheadLen += size
	c.stats.Prefetched++
}

// takeAhead takes an item out of the prefetch buffer. The caller holds mu.
func (c *Cache) takeAhead(hash merkle.Hash, it *item) {
	it.ahead = false
	c.aheadLen -= it.size
	i := slices.Index(c.ahead, hash)
	c.ahead = slices.Delete(c.ahead, i, i+1)
}

// dropAhead drops the oldest item of the prefetch buffer. The caller holds mu.
func (c *Cache) dropAhead() {
	hash := c.ahead[0]
	it := c.items[hash]
	c.takeAhead(hash, it)
	c.settle(hash, it)
}

// trimAhead makes room in L1 for what has been touched. The caller holds mu.
func (c *Cache) trimAhead() {
	for len(c.ahead) > 0 && c.l1.Bytes()+c.aheadLen > c.o.L1-c.pinned {
		c.dropAhead()
	}
}
