package request

import (
	"context"
	"crypto/rand"
	"runtime"
	"slices"
	"sync"

	"github.com/dig-network/digstore/internal/bls"
)

const (
	// DefaultMaxBatch is how many signatures are verified together at most.
	DefaultMaxBatch = 64
	// DefaultMaxWaiting is how many requests may wait for their signature to be verified.
	DefaultMaxWaiting = 4096
	// minShare is how many waiting signatures a leader takes at least, so that batches do not
	// become too small.
	minShare = 16
)

// batcher verifies the signatures of concurrent requests together.
//
// It has no goroutine of its own. While fewer callers than cores verify, a caller becomes a
// leader: it verifies its own signature at once, together with some of the queue. Otherwise the
// caller joins the queue. A leader that is done makes the oldest caller of the queue a leader.
// So no caller waits for others to fill a batch, and batches grow with the load.
type batcher struct {
	max, maxWaiting int

	mu      sync.Mutex
	queue   []*check // oldest first; empty unless there is a leader for each core
	leaders int      // at most one for each core
	budget  budget
}

// check is one signature to verify.
type check struct {
	claim bls.Claim
	ok    bool        // the result, once there is one
	wake  chan signal // with room for one
}

// signal wakes a caller in the queue.
type signal bool

const (
	verified signal = false // the result is in check.ok
	lead     signal = true  // the caller is a leader and no longer in the queue
)

func newBatcher(maxBatch, maxWaiting int) *batcher {
	return &batcher{max: maxBatch, maxWaiting: maxWaiting,
		budget: newBudget(runtime.GOMAXPROCS(0), maxBatch)}
}

// verify reports whether claim is true. The error is ErrBusy, or ctx's error if ctx ends while the
// claim is in the queue. That does not affect other claims.
func (b *batcher) verify(ctx context.Context, claim bls.Claim) (bool, error) {
	c := &check{claim: claim}
	b.mu.Lock()
	if b.leaders < runtime.GOMAXPROCS(0) {
		b.leaders++
		b.leadFrom(c)
		return c.ok, nil
	}
	if len(b.queue) >= b.maxWaiting {
		b.mu.Unlock()
		return false, ErrBusy
	}
	c.wake = make(chan signal, 1)
	b.queue = append(b.queue, c)
	b.mu.Unlock()

	select {
	case w := <-c.wake:
		if w == lead {
			b.mu.Lock()
			b.leadFrom(c)
		}
		return c.ok, nil
	case <-ctx.Done():
		b.remove(c)
		return false, ctx.Err()
	}
}

// remove removes c from the queue. If c was just made a leader, the next in the queue becomes one.
func (b *batcher) remove(c *check) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.queue, c); i >= 0 {
		b.queue = slices.Delete(b.queue, i, i+1)
		return
	}
	select {
	case w := <-c.wake:
		if w == lead {
			b.nextLeader()
		}
	default: // a leader verifies it; the result is not read
	}
}

// leadFrom verifies c and a share of the queue as a leader. b.mu is locked on entry and unlocked on
// return. At the end it calls nextLeader.
func (b *batcher) leadFrom(c *check) {
	n := b.share()
	batch := append(make([]*check, 0, n), c)
	batch = append(batch, b.queue[:n-1]...)
	b.queue = slices.Delete(b.queue, 0, n-1)
	b.budget.reserve(n)
	b.mu.Unlock()

	bad := n // if settle panics, all are refused
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.budget.settle(n, bad)
		for _, other := range batch[1:] {
			other.wake <- verified
		}
		b.nextLeader()
	}()
	bad = settle(batch)
}

// share returns how many claims the next leader verifies, its own included: its part of the queue,
// limited by the budget.
func (b *batcher) share() int {
	waiting, cores := len(b.queue)+1, runtime.GOMAXPROCS(0)
	share := max(minShare, (waiting+cores-1)/cores)
	return min(waiting, share, b.max, b.budget.batch())
}

// nextLeader makes the oldest caller of the queue a leader, or ends the lead if there is none. b.mu
// is locked.
func (b *batcher) nextLeader() {
	if len(b.queue) == 0 || b.leaders > runtime.GOMAXPROCS(0) {
		b.leaders--
		return
	}
	next := b.queue[0]
	b.queue = slices.Delete(b.queue, 0, 1)
	next.wake <- lead
}

// settle verifies batch and returns how many of its claims are false.
func settle(batch []*check) (bad int) {
	claims := make([]bls.Claim, len(batch))
	for i, c := range batch {
		claims[i] = c.claim
	}
	oks, err := bls.VerifyBatch(bls.Augmented, claims, rand.Reader)
	for i, c := range batch {
		if err != nil { // no random bytes; crypto/rand would end the program
			c.ok = c.claim.Key.Verify(bls.Augmented, c.claim.Message, c.claim.Signature)
		} else {
			c.ok = oks[i]
		}
		if !c.ok {
			bad++
		}
	}
	return bad
}
