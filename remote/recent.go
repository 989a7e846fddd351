package remote

import "container/list"

// recent is a table of at most max entries that forgets what was used least recently. Its owner locks.
type recent[K comparable, V any] struct {
	max   int
	byKey map[K]*list.Element
	order list.List // front: used last
}

type recentEntry[K comparable, V any] struct {
	key   K
	value V
}

func newRecent[K comparable, V any](max int) *recent[K, V] {
	return &recent[K, V]{max: max, byKey: make(map[K]*list.Element)}
}

// get returns a pointer into the table, valid until the entry is dropped, and marks it as used.
func (t *recent[K, V]) get(key K) (*V, bool) {
	e, ok := t.byKey[key]
	if !ok {
		return nil, false
	}
	t.order.MoveToFront(e)
	return &e.Value.(*recentEntry[K, V]).value, true
}

// put stores value under key and forgets the oldest entry when the table is full.
func (t *recent[K, V]) put(key K, value V) *V {
	if old, ok := t.get(key); ok {
		*old = value
		return old
	}
	for len(t.byKey) >= t.max {
		t.drop(t.order.Back().Value.(*recentEntry[K, V]).key)
	}
	e := &recentEntry[K, V]{key, value}
	t.byKey[key] = t.order.PushFront(e)
	return &e.value
}

func (t *recent[K, V]) drop(key K) {
	if e, ok := t.byKey[key]; ok {
		t.order.Remove(e)
		delete(t.byKey, key)
	}
}

func (t *recent[K, V]) len() int { return len(t.byKey) }
