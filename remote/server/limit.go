package server

import (
	"math"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// Rate is a token bucket: Burst requests at once, refilled at PerSecond. A field that is not
// positive takes its default. A PerSecond of math.Inf(1) means no limit.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Limits bounds the resources that clients of a [Server] use. A field that is not positive takes
// its default.
//
// See remote/PROTOCOL.md 3.7 and 4.4.
type Limits struct {
	// PerIP is the rate of one client address, checked before authentication, which is expensive.
	// IPv6 addresses count by /64. Default 50 a second, burst 200.
	PerIP Rate
	// PerIdentity is the rate of one identity. Default 50 a second, burst 200.
	PerIdentity Rate
	// PerStore is the rate of one store, checked after authentication. Default 10,000 a minute, burst
	// 10,000.
	PerStore Rate
	// Uploads bounds concurrent module uploads; the next three bound them for one store, one client
	// address and one identity. An upload counts once its headers are checked. Defaults 32, 4, 4 and
	// 4.
	Uploads            int
	UploadsPerStore    int
	UploadsPerAddress  int
	UploadsPerIdentity int
	// Deltas bounds the deltas that are computed concurrently. Reading the request and sending the
	// response do not count. Default 4.
	Deltas int
	// Bodies bounds the bytes of JSON requests in memory, in total. The first 64 KiB of a request do
	// not count; later bytes count as they arrive. One address may use a quarter of it, but at least
	// 8 MiB. Default 32 MiB, at least 8 MiB.
	Bodies int64
	// Tracked is how many addresses, identities and stores are tracked, each. The least recently used
	// entry is evicted and starts again with a full bucket. Default 16,384.
	Tracked int
}

func (l Limits) withDefaults() Limits {
	l.PerIP = l.PerIP.or(50, 200)
	l.PerIdentity = l.PerIdentity.or(50, 200)
	l.PerStore = l.PerStore.or(10_000.0/60, 10_000)
	l.Uploads = positive(l.Uploads, 32)
	l.UploadsPerStore = positive(l.UploadsPerStore, 4)
	l.UploadsPerAddress = positive(l.UploadsPerAddress, 4)
	l.UploadsPerIdentity = positive(l.UploadsPerIdentity, 4)
	l.Deltas = positive(l.Deltas, 4)
	l.Bodies = max(positive(l.Bodies, 32<<20), maxDeltaJSON)
	l.Tracked = positive(l.Tracked, 1<<14)
	return l
}

func (r Rate) or(perSecond float64, burst int) Rate {
	if !(r.PerSecond > 0) {
		r.PerSecond = perSecond
	}
	r.Burst = positive(r.Burst, burst)
	return r
}

func positive[T int | int64 | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

// buckets is a bounded table of token buckets. Safe for concurrent use.
type buckets[K comparable] struct {
	rate  rate.Limit
	burst int
	byKey *lru.Cache[K, *rate.Limiter]
}

func newBuckets[K comparable](r Rate, tracked int) *buckets[K] {
	lim := rate.Limit(r.PerSecond)
	if math.IsInf(r.PerSecond, 1) {
		lim = rate.Inf
	}
	return &buckets[K]{rate: lim, burst: r.Burst, byKey: newLRU[K, *rate.Limiter](tracked)}
}

// newLRU returns an LRU cache of n entries. n must be positive.
func newLRU[K comparable, V any](n int) *lru.Cache[K, V] {
	c, err := lru.New[K, V](n)
	if err != nil {
		panic("remote: " + err.Error()) // n is not positive
	}
	return c
}

// take takes one token of key. If there is none, it returns how long to wait for the next one.
func (b *buckets[K]) take(key K, now time.Time) (wait time.Duration) {
	if b.rate == rate.Inf {
		return 0
	}
	lim, ok := b.byKey.Get(key)
	if !ok {
		lim = rate.NewLimiter(b.rate, b.burst)
		if other, raced, _ := b.byKey.PeekOrAdd(key, lim); raced {
			lim = other
		}
	}
	r := lim.ReserveN(now, 1)
	if wait = r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
	}
	return wait
}
