package api

import (
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A Bucket is a token bucket. The zero value means the defaults.
type Bucket struct {
	PerMinute float64 // refill; negative: no limit
	Burst     int     // capacity; 0: PerMinute
}

// Limits are the buckets of callers.
type Limits struct {
	Capsules   Bucket // GET /capsule and /blob, for each address. Default 100
	Challenges Bucket // POST /validation/challenge. Default 10
	Requests   Bucket // all other routes. Default 60
	// Keys are the API keys (header X-API-Key) with their own buckets. The value multiplies
	// Requests; 0 is 1.
	Keys map[string]float64
	// Tracked is the number of callers that each table holds at the same time. Default 100,000.
	Tracked int
}

func (b Bucket) withDefault(perMinute float64) Bucket {
	if b.PerMinute == 0 {
		b.PerMinute = perMinute
	}
	if b.Burst <= 0 {
		b.Burst = max(1, int(b.PerMinute))
	}
	return b
}

// The names of the buckets.
const (
	bucketCapsules   = "capsule_retrieval"
	bucketChallenges = "validation_challenge"
	bucketRequests   = "api_requests"
	bucketGuard      = "address_guard"
	bucketNone       = ""
)

// guardFactor times Requests is the limit of all requests of an address.
const guardFactor = 10

// A bucketTable has one token bucket for each key. When it is full, new keys of a kind share one
// bucket.
type bucketTable struct {
	name string
	size int

	mu       sync.Mutex
	bucket   Bucket
	keys     map[callerKey]*rate.Limiter
	overflow map[byte]*rate.Limiter
	swept    time.Time
	refused  uint64
}

// callerKey is a kind of key, and the key.
type callerKey struct {
	kind byte // 'a' address, 'k' API key, 'c' credential, 'w' writer, 'i' identity, 'v' validator
	key  string
}

func newBucketTable(name string, b Bucket, size int) *bucketTable {
	return &bucketTable{name: name, size: size, bucket: b, keys: map[callerKey]*rate.Limiter{},
		overflow: map[byte]*rate.Limiter{}}
}

func (t *bucketTable) newLimiter(factor float64) *rate.Limiter {
	b := t.bucket
	return rate.NewLimiter(rate.Limit(b.PerMinute*factor/60), max(1, int(float64(b.Burst)*factor)))
}

// sweepEvery is the shortest time between two scans of all keys.
const sweepEvery = 10 * time.Second

// limiter returns the bucket of a key. The caller holds mu.
func (t *bucketTable) limiter(k callerKey, factor float64, now time.Time) *rate.Limiter {
	if l := t.keys[k]; l != nil {
		return l
	}
	if len(t.keys) >= t.size/2 && now.Sub(t.swept) >= sweepEvery {
		t.swept = now
		for key, l := range t.keys {
			if l.TokensAt(now) >= float64(l.Burst()) { // full, like a new one
				delete(t.keys, key)
			}
		}
	}
	if len(t.keys) < t.size {
		l := t.newLimiter(factor)
		t.keys[k] = l
		return l
	}
	l := t.overflow[k.kind]
	if l == nil {
		l = t.newLimiter(1)
		t.overflow[k.kind] = l
	}
	return l
}

// A charge is the result of taking a token.
type charge struct {
	ok        bool
	limit     int // capacity of the bucket; 0: there is no limit
	remaining int
	reset     int           // seconds until the bucket is full
	wait      time.Duration // until a token is available
}

// take takes a token of the bucket of k.
func (t *bucketTable) take(k callerKey, factor float64, now time.Time) charge {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.bucket.PerMinute < 0 {
		return charge{ok: true}
	}
	if factor <= 0 {
		factor = 1
	}
	l := t.limiter(k, factor, now)
	c := charge{ok: l.AllowN(now, 1), limit: l.Burst()}
	tokens := l.TokensAt(now)
	perSecond := float64(l.Limit())
	if !c.ok {
		t.refused++
		c.wait = time.Duration((1 - tokens) / perSecond * float64(time.Second))
	}
	c.remaining = max(0, int(tokens))
	c.reset = int(math.Ceil((float64(l.Burst()) - tokens) / perSecond))
	return c
}

// set changes the bucket of all callers. The new buckets are full.
func (t *bucketTable) set(b Bucket) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bucket = b
	clear(t.keys)
	clear(t.overflow)
}

// headers adds the headers about a bucket to an answer.
func (c charge) headers(h http.Header) {
	if c.limit == 0 {
		return
	}
	h.Set("X-RateLimit-Limit", strconv.Itoa(c.limit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(c.remaining))
	h.Set("X-RateLimit-Reset", strconv.Itoa(c.reset))
}

func (c charge) error(bucket string) *Error {
	return &Error{Code: RateLimited, RetryAfter: max(c.wait, time.Second),
		Detail: "bucket " + bucket + " is empty"}
}

// LimitStats are counts about a bucket.
type LimitStats struct {
	Tracked int    // callers
	Refused uint64 // requests
}

func (t *bucketTable) stats() LimitStats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return LimitStats{len(t.keys), t.refused}
}
