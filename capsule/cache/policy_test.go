package cache_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/dig-network/digstore/capsule/cache"
	"github.com/dig-network/digstore/merkle"
)

// model is a policy by brute force: it looks at every key to find what leaves.
type model struct {
	limit   int64
	entries int
	keys    []*modelKey
	age     uint64
	clock   int
	// less reports whether a leaves before b.
	less func(a, b *modelKey) bool
}

type modelKey struct {
	key      merkle.Hash
	size     int64
	uses     uint64
	priority uint64
	last     int
}

func byUse(a, b *modelKey) bool { return a.last < b.last }

func byFrequency(a, b *modelKey) bool {
	return a.priority < b.priority || a.priority == b.priority && a.last < b.last
}

func (m *model) find(key merkle.Hash) int {
	return slices.IndexFunc(m.keys, func(k *modelKey) bool { return k.key == key })
}

func (m *model) bytes() (n int64) {
	for _, k := range m.keys {
		n += k.size
	}
	return n
}

func (m *model) use(k *modelKey) {
	m.clock++
	k.uses++
	k.priority, k.last = m.age+k.uses, m.clock
}

func (m *model) add(key merkle.Hash, size int64) []merkle.Hash {
	if size > m.limit {
		return []merkle.Hash{key}
	}
	victims := m.shrink(m.limit-size, m.entries-1)
	k := &modelKey{key: key, size: size}
	m.use(k)
	m.keys = append(m.keys, k)
	return victims
}

func (m *model) shrink(bytes int64, entries int) (victims []merkle.Hash) {
	for m.bytes() > bytes || len(m.keys) > entries {
		first := 0
		for i, k := range m.keys {
			if m.less(k, m.keys[first]) {
				first = i
			}
		}
		m.age = m.keys[first].priority
		victims = append(victims, m.keys[first].key)
		m.keys = slices.Delete(m.keys, first, first+1)
	}
	return victims
}

// The policies do what the models do.
func TestPolicies(t *testing.T) {
	for name, c := range map[string]struct {
		make func(int64, int) cache.Policy
		less func(a, b *modelKey) bool
	}{
		"LRU": {cache.NewLRU, byUse}, "LFU": {cache.NewLFU, byFrequency},
	} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				limit := rapid.Int64Range(0, 100).Draw(t, "limit")
				entries := rapid.IntRange(0, 8).Draw(t, "entries")
				p := c.make(limit, entries)
				m := &model{limit: limit, entries: entries, less: c.less}
				if entries == 0 {
					m.entries = math.MaxInt
				}
				same := func(what string, got, want []merkle.Hash) {
					if !slices.Equal(got, want) {
						t.Fatalf("%s: %v leave, want %v", what, got, want)
					}
				}
				for range rapid.IntRange(1, 60).Draw(t, "steps") {
					key := merkle.Hash{rapid.Byte().Draw(t, "key") % 12}
					switch rapid.IntRange(0, 5).Draw(t, "what") {
					case 0, 1:
						if m.find(key) < 0 {
							size := rapid.Int64Range(0, 60).Draw(t, "size")
							same("add", p.Add(key, size), m.add(key, size))
						}
					case 2, 3:
						p.Touch(key)
						if i := m.find(key); i >= 0 {
							m.use(m.keys[i])
						}
					case 4:
						p.Remove(key)
						if i := m.find(key); i >= 0 {
							m.keys = slices.Delete(m.keys, i, i+1)
						}
					case 5:
						m.limit = rapid.Int64Range(0, 100).Draw(t, "limit")
						same("resize", p.Resize(m.limit), m.shrink(m.limit, m.entries))
					}
					if p.Len() != len(m.keys) || p.Bytes() != m.bytes() || p.Bytes() > m.limit ||
						p.Len() > m.entries {
						t.Fatalf("%d keys, %d bytes, want %d, %d", p.Len(), p.Bytes(), len(m.keys),
							m.bytes())
					}
				}
			})
		})
	}
}

// What was used often and is not used any more leaves in the end: the cache ages.
func TestLFUAges(t *testing.T) {
	p := cache.NewLFU(10, 0)
	old := merkle.Hash{0xff}
	p.Add(old, 1)
	for range 50 {
		p.Touch(old)
	}
	for i := range 2000 {
		key := merkle.Hash{byte(i), byte(i >> 8)}
		victims := p.Add(key, 1)
		p.Touch(key)
		if slices.Contains(victims, old) {
			t.Logf("left after %d others", i)
			return
		}
	}
	t.Error("is still there after 2000 others")
}

func ExampleNewLFU() {
	p := cache.NewLFU(100, 0)
	p.Add(merkle.Hash{1}, 50)
	p.Add(merkle.Hash{2}, 50)
	p.Touch(merkle.Hash{1})
	victims := p.Add(merkle.Hash{3}, 50)
	fmt.Println(len(victims), victims[0][0])
	// Output: 1 2
}
