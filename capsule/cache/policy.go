package cache

import (
	"container/heap"
	"math"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/dig-network/digstore/merkle"
)

// Policy decides which keys are evicted from a tier. It is not safe for concurrent use.
type Policy interface {
	// Add adds a new key and returns the keys that it evicts. A key whose size is above the limit is
	// not added, and is returned itself.
	Add(key merkle.Hash, size int64) (victims []merkle.Hash)
	// Touch records a use of a key. An unknown key is ignored.
	Touch(key merkle.Hash)
	// Remove removes a key. An unknown key is ignored.
	Remove(key merkle.Hash)
	// Resize changes the limit in bytes and returns the keys that it evicts.
	Resize(bytes int64) (victims []merkle.Hash)
	// Len returns the number of keys and Bytes the sum of their sizes.
	Len() int
	Bytes() int64
}

// lru is least-recently-used over golang-lru, which bounds entries, with a count of bytes beside
// it.
type lru struct {
	list    *simplelru.LRU[merkle.Hash, int64]
	limit   int64
	entries int
	bytes   int64
}

// NewLRU returns a Policy that evicts the least recently used key. It keeps at most that many bytes
// and entries; the entries are not limited if the number is not positive.
func NewLRU(bytes int64, entries int) Policy {
	p := &lru{limit: max(0, bytes), entries: bounded(entries)}
	list, err := simplelru.NewLRU(math.MaxInt, func(_ merkle.Hash, size int64) { p.bytes -= size })
	if err != nil {
		panic("cache: " + err.Error()) // only for a size below 1
	}
	p.list = list
	return p
}

func bounded(entries int) int {
	if entries <= 0 {
		return math.MaxInt
	}
	return entries
}

func (p *lru) Add(key merkle.Hash, size int64) []merkle.Hash {
	if size > p.limit {
		return []merkle.Hash{key}
	}
	victims := p.shrink(p.limit-size, p.entries-1)
	p.list.Add(key, size)
	p.bytes += size
	return victims
}

func (p *lru) shrink(bytes int64, entries int) (victims []merkle.Hash) {
	for p.bytes > bytes || p.list.Len() > entries {
		key, _, ok := p.list.RemoveOldest()
		if !ok {
			break
		}
		victims = append(victims, key)
	}
	return victims
}

func (p *lru) Touch(key merkle.Hash)  { p.list.Get(key) }
func (p *lru) Remove(key merkle.Hash) { p.list.Remove(key) }
func (p *lru) Len() int               { return p.list.Len() }
func (p *lru) Bytes() int64           { return p.bytes }

func (p *lru) Resize(bytes int64) []merkle.Hash {
	p.limit = max(0, bytes)
	return p.shrink(p.limit, p.entries)
}

// lfu is least-frequently-used with dynamic ageing. The priority of a key is the age of the
// cache at its last use plus the number of its uses; the age is the priority of what left last.
// So a key that is not used any more is overtaken in the end by keys that are, however often it
// was used before.
type lfu struct {
	items   map[merkle.Hash]*lfuItem
	heap    lfuHeap
	limit   int64
	entries int
	bytes   int64
	age     uint64
	clock   uint64 // counts uses
}

type lfuItem struct {
	key      merkle.Hash
	size     int64
	uses     uint64
	priority uint64
	last     uint64 // the clock at the last use
	at       int    // place in the heap
}

// NewLFU returns a Policy that evicts the least frequently used key, with dynamic ageing, and among
// equals the least recently used one. It keeps at most that many bytes and entries; the entries are
// not limited if the number is not positive.
func NewLFU(bytes int64, entries int) Policy {
	return &lfu{items: make(map[merkle.Hash]*lfuItem), limit: max(0, bytes),
		entries: bounded(entries)}
}

func (p *lfu) Add(key merkle.Hash, size int64) []merkle.Hash {
	if size > p.limit {
		return []merkle.Hash{key}
	}
	victims := p.shrink(p.limit-size, p.entries-1)
	item := &lfuItem{key: key, size: size}
	p.items[key] = item
	p.bytes += size
	p.use(item)
	heap.Push(&p.heap, item)
	return victims
}

func (p *lfu) use(item *lfuItem) {
	p.clock++
	item.uses++
	item.priority, item.last = p.age+item.uses, p.clock
}

func (p *lfu) shrink(bytes int64, entries int) (victims []merkle.Hash) {
	for len(p.heap) > 0 && (p.bytes > bytes || len(p.heap) > entries) {
		item := p.heap[0]
		p.age = item.priority
		p.Remove(item.key)
		victims = append(victims, item.key)
	}
	return victims
}

func (p *lfu) Touch(key merkle.Hash) {
	if item := p.items[key]; item != nil {
		p.use(item)
		heap.Fix(&p.heap, item.at)
	}
}

func (p *lfu) Remove(key merkle.Hash) {
	if item := p.items[key]; item != nil {
		heap.Remove(&p.heap, item.at)
		delete(p.items, key)
		p.bytes -= item.size
	}
}

func (p *lfu) Resize(bytes int64) []merkle.Hash {
	p.limit = max(0, bytes)
	return p.shrink(p.limit, p.entries)
}

func (p *lfu) Len() int     { return len(p.items) }
func (p *lfu) Bytes() int64 { return p.bytes }

// lfuHeap has what leaves first at its top.
type lfuHeap []*lfuItem

func (h lfuHeap) Len() int { return len(h) }

func (h lfuHeap) Less(i, j int) bool {
	if h[i].priority != h[j].priority {
		return h[i].priority < h[j].priority
	}
	return h[i].last < h[j].last
}

func (h lfuHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

func (h *lfuHeap) Push(x any) {
	item := x.(*lfuItem)
	item.at = len(*h)
	*h = append(*h, item)
}

func (h *lfuHeap) Pop() any {
	old := *h
	item := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return item
}
