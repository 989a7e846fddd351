package server

import (
	"math"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// Rate is a token bucket: Burst requests at once, refilled at PerSecond. A field that is not
// positive takes its default; PerSecond of math.Inf(1) is no limit.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Limits bounds what a [Server] does for others. A field that is not positive takes its default.
//
// See remote/PROTOCOL.md 3.7 and 4.4.
type Limits struct {
	// PerIP is taken from before any signature is looked at, since checking one is the expensive step.
	// IPv6 addresses count by /64. Default 50 a second, burst 200.
	PerIP Rate
	// PerIdentity is taken from after authentication. Default 50 a second, burst 200.
	PerIdentity Rate
	// PerStore is taken from after authentication. Default 10,000 a minute, burst 10,000.
	PerStore Rate
	// Uploads bounds the module uploads that run at the same time; the next three bound them for one
	// store, one client address and one identity. An upload counts from when all that its headers say
	// has been checked. Defaults 32, 4, 4 and 4.
	Uploads            int
	UploadsPerStore    int
	UploadsPerAddress  int
	UploadsPerIdentity int
	// Deltas bounds the deltas that are computed at the same time. Reading a request and sending an
	// answer do not count. Default 4.
	Deltas int
	// Bodies bounds the bytes of JSON requests that are held at the same time. The first 64 KiB of a
	// request do not count, the others as they arrive. One address may hold a quarter of it, but at
	// least 8 MiB. Default 32 MiB, at least 8 MiB.
	Bodies int64
	// Tracked is how many addresses, identities and stores are remembered, each. What was seen least
	// recently is forgotten first and starts again with a full bucket. Default 16,384.
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

// newLRU is a table that forgets what was used least recently beyond n entries, n being
// positive.
func newLRU[K comparable, V any](n int) *lru.Cache[K, V] {
	c, err := lru.New[K, V](n)
	if err != nil {
		panic("remote: " + err.Error()) // n is not positive
	}
	return c
}

// take spends one token of key, or says how long to wait for the next one.
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
