package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/sync/semaphore"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
)

// ErrNotAdmitted says that a capsule is too large for every tier. Open streams it.
var ErrNotAdmitted = errors.New("capsule is too large for the cache")

// Cache is a capsule.Source that caches another one. It is safe for concurrent use.
type Cache struct {
	src     capsule.Source
	o       Options
	loading *semaphore.Weighted
	disk    *disk // L2 in files; nil: in memory
	queue   chan capsule.Ref
	behind  sync.WaitGroup // loads that have given their result and are being taken up

	mu       sync.Mutex
	l1, l2   Policy
	items    map[merkle.Hash]*item
	ahead    []merkle.Hash // prefetched and never touched, the oldest first
	aheadLen int64         // their bytes
	pinned   int64         // bytes of pinned items
	flights  map[merkle.Hash]*flight
	loads    int                                             // flights that have not ended
	removed  uint64                                          // counts calls of Remove, RemoveHash
	gone     map[auth.StoreID]uint64                         // removed at the last Remove
	known    *simplelru.LRU[capsule.Ref, capsule.Descriptor] // of refs with a root
	absent   *simplelru.LRU[capsule.Ref, time.Time]          // until when
	readers  *simplelru.LRU[readerKey, lastRead]             // for prefetching
	stats    Stats
}

var _ capsule.Source = (*Cache)(nil)

// item is what is known of a capsule that some tier holds.
type item struct {
	content []byte // nil when only a file of L2 has it
	size    int64
	inL1    bool
	inL2    bool
	writing bool // its file of L2 is being written
	ahead   bool // in L1's prefetch buffer
	pins    int
	stores  []auth.StoreID // whose capsule it is, as far as is known
	// seen has size and time of the file of L2 as it was when it verified.
	seen fileState
}

// New returns a cache in front of src. It starts nothing: see Run. With Options.Dir the caller
// closes it.
func New(src capsule.Source, o *Options) (*Cache, error) {
	c := &Cache{
		src: src, o: o.withDefaults(), items: make(map[merkle.Hash]*item),
		flights: make(map[merkle.Hash]*flight),
		gone:    make(map[auth.StoreID]uint64), queue: make(chan capsule.Ref, 64),
	}
	c.loading = semaphore.NewWeighted(c.o.Loading)
	c.l1, c.l2 = c.o.L1Policy(c.o.L1, c.o.Entries), c.o.L2Policy(c.o.L2, c.o.Entries)
	c.known = newList[capsule.Ref, capsule.Descriptor](knownEntries)
	c.absent = newList[capsule.Ref, time.Time](absentEntries)
	c.readers = newList[readerKey, lastRead](1024)
	if c.o.Dir == "" || c.o.L2 == 0 {
		return c, nil
	}
	var err error
	if c.disk, err = openDisk(c.o.fs, c.o.Dir); err != nil {
		return nil, fmt.Errorf("open cache directory %s: %w", c.o.Dir, err)
	}
	found, err := c.disk.list()
	if err != nil {
		err = errors.Join(err, c.disk.close())
		return nil, fmt.Errorf("open cache directory %s: %w", c.o.Dir, err)
	}
	for _, f := range found {
		if f.size > c.o.L2/admitted {
			c.disk.remove(f.hash)
			continue
		}
		c.items[f.hash] = &item{size: f.size, inL2: true}
		c.drop(c.l2.Add(f.hash, f.size), 2)
	}
	return c, nil
}

func newList[K comparable, V any](entries int) *simplelru.LRU[K, V] {
	l, err := simplelru.NewLRU[K, V](entries, nil)
	if err != nil {
		panic("cache: " + err.Error()) // only for a size below 1
	}
	return l
}

// Close releases the directory of L2. Blobs that were handed out stay readable.
func (c *Cache) Close() error {
	c.behind.Wait()
	if c.disk == nil {
		return nil
	}
	return c.disk.close()
}

// Stat implements capsule.Source. Descriptors of refs with a root are remembered.
func (c *Cache) Stat(ctx context.Context, ref capsule.Ref) (capsule.Descriptor, error) {
	c.mu.Lock()
	d, ok := c.known.Get(ref)
	until, absent := c.absent.Get(ref)
	absent = !ok && absent && c.o.Now().Before(until)
	if absent {
		c.stats.Absent++
	}
	removed := c.removed
	c.mu.Unlock()
	if ok {
		return d, ctx.Err()
	}
	if absent {
		return capsule.Descriptor{}, fmt.Errorf("capsule %v: %w", ref, fs.ErrNotExist)
	}
	d, err := c.src.Stat(ctx, ref)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.absent.Add(ref, c.o.Now().Add(absentFor))
	case err == nil && !ref.Root.IsZero() && c.removed == removed:
		c.known.Add(ref, d)
	}
	return d, err
}

// Get returns the capsule at ref and where it was found. client identifies the caller for
// prefetching; with an empty one nothing is prefetched. The caller closes the blob. A capsule that
// no tier admits is ErrNotAdmitted, absence fs.ErrNotExist, content that does not verify
// capsule.ErrContentMismatch.
func (c *Cache) Get(ctx context.Context, ref capsule.Ref, client string) (*Blob, Hit, error) {
	d, err := c.Stat(ctx, ref)
	if err != nil {
		return nil, DiskRead, err
	}
	b, hit, err := c.get(ctx, d, ref.Store)
	if err == nil {
		c.noteRead(ref, client)
	}
	return b, hit, err
}

// Open implements capsule.Source. What it returns has been verified; unless no tier admits the
// capsule it is an io.Seeker and io.ReaderAt, else it is verified as it is read.
func (c *Cache) Open(ctx context.Context, d capsule.Descriptor) (io.ReadCloser, error) {
	b, _, err := c.get(ctx, d, auth.StoreID{})
	if err == nil {
		return blobReader{b.Reader(), b}, nil
	}
	if !errors.Is(err, ErrNotAdmitted) {
		return nil, err
	}
	c.count(func(s *Stats) { s.Streamed++ })
	rc, err := c.src.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	return capsule.VerifyReader(rc, d), nil
}

func (c *Cache) count(f func(*Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.stats)
}

// Stats returns counts and sizes.
func (c *Cache) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.L1Bytes, s.L2Bytes = c.l1.Bytes()+c.aheadLen+c.pinned, c.l2.Bytes()
	s.L1Entries, s.L2Entries = c.l1.Len()+len(c.ahead), c.l2.Len()
	for _, it := range c.items {
		if it.pins > 0 {
			s.L1Entries++
		}
	}
	return s
}

func (c *Cache) admitsL1(size int64) bool { return c.o.L1 > 0 && size <= c.o.L1/admitted }
func (c *Cache) admitsL2(size int64) bool { return c.o.L2 > 0 && size <= c.o.L2/admitted }

// buffers reports whether a capsule of this size is held by some tier, and can be loaded for it.
func (c *Cache) buffers(size int64) bool {
	if size > c.o.Loading {
		return false
	}
	if c.o.L2 > 0 {
		return c.admitsL2(size)
	}
	return c.admitsL1(size)
}

// get finds a capsule in memory, or by a flight in L2's files or the source.
func (c *Cache) get(
	ctx context.Context, d capsule.Descriptor, store auth.StoreID,
) (*Blob, Hit, error) {
	if err := ctx.Err(); err != nil {
		return nil, DiskRead, err
	}
	if !c.buffers(int64(d.Size)) {
		return nil, DiskRead, fmt.Errorf("capsule %v of %d bytes: %w", d.Hash, d.Size,
			ErrNotAdmitted)
	}
	c.mu.Lock()
	if b, hit, ok := c.find(d, store); ok {
		c.mu.Unlock()
		return b, hit, nil
	}
	f, hit := c.join(d, store) // unlocks
	return f.wait(ctx, c, hit)
}

// find looks into memory, and promotes. The caller holds mu.
func (c *Cache) find(d capsule.Descriptor, store auth.StoreID) (*Blob, Hit, bool) {
	it := c.items[d.Hash]
	if it == nil || it.content == nil || it.size != int64(d.Size) {
		return nil, DiskRead, false
	}
	it.belongs(store)
	hit := L1Hit
	switch {
	case it.pins > 0:
	case it.ahead:
		c.takeAhead(d.Hash, it)
		c.addL1(d.Hash, it)
	case it.inL1:
		c.l1.Touch(d.Hash)
	default:
		hit = L2Hit
		c.l2.Touch(d.Hash)
		c.addL1(d.Hash, it)
	}
	if hit == L1Hit {
		c.stats.L1Hits++
	} else {
		c.stats.L2Hits++
	}
	return memoryBlob(d.Hash, it.content), hit, true
}

// belongs notes that it is a capsule of the store.
func (it *item) belongs(store auth.StoreID) {
	if !store.IsZero() && !slices.Contains(it.stores, store) {
		it.stores = append(it.stores, store)
	}
}

// addL1 puts an item into L1, when it is admitted; it has its content. The caller holds mu.
func (c *Cache) addL1(hash merkle.Hash, it *item) {
	if it.inL1 || it.pins > 0 || !c.admitsL1(it.size) {
		return
	}
	it.inL1 = true
	c.drop(c.l1.Add(hash, it.size), 1)
	c.trimAhead()
}

// addL2 puts an item into L2, when it is admitted. The caller holds mu.
func (c *Cache) addL2(hash merkle.Hash, it *item) {
	if it.inL2 || !c.admitsL2(it.size) {
		return
	}
	it.inL2 = true
	c.drop(c.l2.Add(hash, it.size), 2)
}

// drop takes victims of a policy out of their tier. The caller holds mu, or is New.
func (c *Cache) drop(victims []merkle.Hash, tier int) {
	for _, hash := range victims {
		it := c.items[hash]
		if it == nil {
			continue
		}
		if tier == 1 {
			it.inL1 = false
		} else {
			it.inL2 = false
			if c.disk != nil {
				c.disk.remove(hash)
			}
		}
		c.settle(hash, it)
	}
}

// settle lets go of what no tier holds any more. The caller holds mu.
func (c *Cache) settle(hash merkle.Hash, it *item) {
	inMemory := it.inL1 || it.ahead || it.pins > 0 || it.inL2 && (c.disk == nil || it.writing)
	if !inMemory {
		it.content = nil
	}
	if !inMemory && !it.inL2 {
		delete(c.items, hash)
	}
}

// discard removes an item from all tiers. A pinned item stays readable until it is unpinned. The
// caller holds mu.
func (c *Cache) discard(hash merkle.Hash, it *item) {
	c.l1.Remove(hash)
	it.inL1 = false
	if it.ahead {
		c.takeAhead(hash, it)
	}
	if it.inL2 {
		c.l2.Remove(hash)
		it.inL2 = false
		if c.disk != nil {
			c.disk.remove(hash)
		}
	}
	if it.pins > 0 {
		c.pinned -= it.size
		it.pins = 0
		c.resizeL1()
	}
	it.content = nil
	delete(c.items, hash)
}

// Put takes up content that has just been stored, as of a push, into L2. It must match d: it is
// verified. The content must not be changed afterwards. That it is not admitted is no error.
func (c *Cache) Put(ref capsule.Ref, d capsule.Descriptor, content []byte) error {
	h := capsule.NewHasher()
	if _, err := h.Write(content); err != nil {
		return err
	}
	if err := d.Matches(h.Descriptor(d.Index)); err != nil {
		return fmt.Errorf("put into the cache: %w", err)
	}
	c.mu.Lock()
	removed := c.removed
	c.mu.Unlock()
	state, ok := c.writeFile(d.Hash, content)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.absent.Remove(ref)
	if c.removed != removed || !ok {
		c.unwrite(d.Hash, state)
		return nil
	}
	c.insert(d, content, ref.Store, state)
	return nil
}

// insert takes up loaded content: into L2, or into L1 where there is no L2. The caller holds mu.
func (c *Cache) insert(d capsule.Descriptor, content []byte, store auth.StoreID,
	state fileState) *item {
	it := c.items[d.Hash]
	if it == nil {
		it = &item{size: int64(d.Size)}
		c.items[d.Hash] = it
	}
	it.belongs(store)
	if it.content == nil {
		it.content = content
	}
	if c.o.L2 > 0 {
		if state.ok || c.disk == nil {
			it.seen = state
			c.addL2(d.Hash, it)
		}
	} else {
		c.addL1(d.Hash, it)
	}
	c.settle(d.Hash, it)
	return it
}

// writeFile writes the file of L2, if L2 is on disk and takes it. It reports false when L2 is on
// disk and cannot take anything now.
func (c *Cache) writeFile(hash merkle.Hash, content []byte) (fileState, bool) {
	if c.disk == nil || !c.admitsL2(int64(len(content))) {
		return fileState{}, true
	}
	return c.disk.write(hash, content, c.o.Now())
}

// unwrite removes a file that was written and is not taken up, unless L2 has the capsule. The
// caller holds mu.
func (c *Cache) unwrite(hash merkle.Hash, state fileState) {
	if it := c.items[hash]; state.ok && (it == nil || !it.inL2) {
		c.disk.remove(hash)
	}
}

// Remove takes everything out that belongs to a datastore, and what is not known to belong to
// another. When it has returned, no read through the cache finds it there, and no load that was
// running puts it back. Blobs that were handed out stay readable.
func (c *Cache) Remove(store auth.StoreID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removed++
	if len(c.flights) > 0 {
		c.gone[store] = c.removed
	}
	for hash, it := range c.items {
		it.stores = slices.DeleteFunc(it.stores, func(s auth.StoreID) bool { return s == store })
		if len(it.stores) == 0 {
			c.discard(hash, it)
		}
	}
	c.forget(store)
}

// RemoveHash takes the content of a hash out, as when it was found damaged or is not to be
// served any more.
func (c *Cache) RemoveHash(hash merkle.Hash) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removed++
	if it := c.items[hash]; it != nil {
		c.discard(hash, it)
	}
	if f := c.flights[hash]; f != nil {
		f.keep, f.complete = false, false
		delete(c.flights, hash)
	}
	for _, ref := range c.known.Keys() {
		if d, ok := c.known.Peek(ref); ok && d.Hash == hash {
			c.known.Remove(ref)
		}
	}
}

// Forget drops what is remembered about the places of a datastore, absence above all. It is
// called when a generation has been committed. Content stays.
func (c *Cache) Forget(store auth.StoreID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removed++
	c.forget(store)
}

func (c *Cache) forget(store auth.StoreID) {
	for _, ref := range c.known.Keys() {
		if ref.Store == store {
			c.known.Remove(ref)
		}
	}
	for _, ref := range c.absent.Keys() {
		if ref.Store == store {
			c.absent.Remove(ref)
		}
	}
}

// Pin loads the capsule at ref into L2 and keeps it in L1 until release is called, as while a
// challenge about it is answered. It is counted in L1 and takes the place of others there; what
// L1 does not admit is loaded and not pinned. Release may be called more than once.
func (c *Cache) Pin(ctx context.Context, ref capsule.Ref) (release func(), err error) {
	d, err := c.Stat(ctx, ref)
	if err != nil {
		return nil, err
	}
	b, _, err := c.get(ctx, d, ref.Store)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	if b.file != nil || !c.admitsL1(b.size) {
		return func() {}, nil
	}
	if err := b.wait(); err != nil {
		return nil, err
	}
	content := make([]byte, b.size)
	c.mu.Lock()
	defer c.mu.Unlock()
	it := c.items[d.Hash]
	switch {
	case it != nil && it.content != nil:
	case c.pinned+b.size > c.o.L1/2:
		return func() {}, nil
	default:
		if _, err := b.ReadAt(content, 0); err != nil && err != io.EOF {
			return nil, err
		}
		if it == nil {
			it = &item{size: b.size}
			it.belongs(ref.Store)
			c.items[d.Hash] = it
		}
		it.content = content
	}
	if it.pins == 0 {
		if c.pinned+it.size > c.o.L1/2 {
			c.settle(d.Hash, it)
			return func() {}, nil
		}
		c.l1.Remove(d.Hash)
		it.inL1 = false
		if it.ahead {
			c.takeAhead(d.Hash, it)
		}
		c.pinned += it.size
	}
	it.pins++
	c.resizeL1()
	return sync.OnceFunc(func() { c.unpin(d.Hash, it) }), nil
}

// unpin takes back one pin of it. The last one makes it an ordinary entry of L1.
func (c *Cache) unpin(hash merkle.Hash, it *item) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if it.pins == 0 { // it was discarded
		return
	}
	if it.pins--; it.pins > 0 {
		return
	}
	c.pinned -= it.size
	c.resizeL1()
	c.addL1(hash, it)
	c.settle(hash, it)
}

// resizeL1 gives the policy what is not pinned. The caller holds mu.
func (c *Cache) resizeL1() {
	c.drop(c.l1.Resize(c.o.L1-c.pinned), 1)
	c.trimAhead()
}
