package scorer

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/dig-network/digstore/node/economy"
	"github.com/dig-network/digstore/node/policy"
)

// maxCached is the number of ratings in a Cached.
const maxCached = 4096

// Cached is a policy.Scorer that caches the ratings of another for a time. The key is the datastore
// with its handle, tier and size. Changes of other features, such as the number of requests, take
// effect when the time is over. Failures are not cached. NewCached makes one.
type Cached struct {
	scorer policy.Scorer
	ttl    time.Duration
	now    func() time.Time

	mu     sync.Mutex
	scores *simplelru.LRU[cacheKey, cachedScore]
}

type cacheKey struct {
	store, handle string
	tier          economy.Tier
	capsules      uint64
	size          uint64
}

type cachedScore struct {
	policy.Score
	until time.Time
}

// CachedOptions are settings of NewCached. nil and the zero value mean the defaults.
type CachedOptions struct {
	Now func() time.Time // default: time.Now
}

// NewCached returns a cache of the ratings of s.
func NewCached(s policy.Scorer, ttl time.Duration, o *CachedOptions) *Cached {
	scores, err := simplelru.NewLRU[cacheKey, cachedScore](maxCached, nil)
	if err != nil {
		panic(err) // the size is positive
	}
	c := &Cached{scorer: s, ttl: ttl, now: time.Now, scores: scores}
	if o != nil && o.Now != nil {
		c.now = o.Now
	}
	return c
}

// Score implements policy.Scorer.
func (c *Cached) Score(ctx context.Context, f policy.Features) (policy.Score, error) {
	key := cacheKey{f.Store, f.Handle, f.Tier, f.Capsules, f.Size}
	c.mu.Lock()
	kept, ok := c.scores.Get(key)
	c.mu.Unlock()
	if ok && c.now().Before(kept.until) {
		return kept.Score, nil
	}
	s, err := c.scorer.Score(ctx, f)
	if err != nil {
		return policy.Score{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.scores.Add(key, cachedScore{s, c.now().Add(c.ttl)})
	return s, nil
}
