package server

import (
	"net/netip"
	"sync"

	"github.com/dig-network/digstore/auth"
)

// A budget bounds the units in use at the same time, such as bytes or upload slots. It counts them
// in total and for each client address, identity and store. A limit of 0 means no limit. Safe for
// concurrent use.
type budget struct {
	total, perAddress, perIdentity, perStore int64

	mu         sync.Mutex
	used       int64
	byAddress  map[netip.Addr]int64
	byIdentity map[auth.PublicKey]int64
	byStore    map[auth.StoreID]int64
}

// A holder identifies the request that units are counted for. A zero address or identity is unknown
// and not counted.
type holder struct {
	address  netip.Addr
	identity auth.PublicKey
	store    auth.StoreID
}

// A share is what one request holds of a budget. The zero value of held holds nothing. Not safe for
// concurrent use.
type share struct {
	of   *budget
	by   holder
	held int64
}

// grow takes n more units. It reports false and takes nothing if that would exceed a limit.
func (s *share) grow(n int64) bool {
	if !s.of.take(s.by, n) {
		return false
	}
	s.held += n
	return true
}

// shrink gives units back until n are held.
func (s *share) shrink(n int64) {
	if n >= s.held {
		return
	}
	s.of.give(s.by, s.held-n)
	s.held = n
}

// release gives back all that is held.
func (s *share) release() { s.shrink(0) }

func (b *budget) take(h holder, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if exceeds(b.total, b.used, n) || exceeds(b.perStore, b.byStore[h.store], n) {
		return false
	}
	if h.address.IsValid() && exceeds(b.perAddress, b.byAddress[h.address], n) {
		return false
	}
	if !h.identity.IsZero() && exceeds(b.perIdentity, b.byIdentity[h.identity], n) {
		return false
	}
	b.add(h, n)
	return true
}

func (b *budget) give(h holder, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.add(h, -n)
}

func exceeds(limit, used, n int64) bool { return limit > 0 && used+n > limit }

// add changes every count by n. The caller holds mu.
func (b *budget) add(h holder, n int64) {
	b.used += n
	b.byAddress = counted64(b.byAddress, h.address, n)
	b.byIdentity = counted64(b.byIdentity, h.identity, n)
	b.byStore = counted64(b.byStore, h.store, n)
}

// counted64 adds n to the count of k in m and deletes a count of 0.
func counted64[K comparable](m map[K]int64, k K, n int64) map[K]int64 {
	if m == nil {
		m = make(map[K]int64)
	}
	if m[k] += n; m[k] == 0 {
		delete(m, k)
	}
	return m
}
