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
	// minShare is the least that a leader takes of what waits, so that few do not become too many
	// small batches.
	minShare = 16
)

// batcher verifies the signatures of requests that come at the same time together.
//
// It has no goroutine of its own. A caller that finds a core free leads: it verifies its signature
// at once, and answers for all that it took along from the queue. While every core has a leader,
// callers queue. A leader that is done hands its lead to the caller that has waited longest, which
// takes a share of the queue. So nobody waits for company, and batches are as long as there is load.
type batcher struct {
	max, maxWaiting int

	mu      sync.Mutex
	queue   []*check // oldest first; empty unless all leads are taken
	leaders int      // leads taken, at most one for each core
	budget  budget
}

// check is one signature to verify.
type check struct {
	claim bls.Claim
	ok    bool          // the verdict, once it is there
	wake  chan wakening // of one message
}

// wakening is what a caller in the queue hears.
type wakening bool

const (
	answered wakening = false // the verdict is there
	lead     wakening = true  // it has a lead, and is no longer in the queue
)

func newBatcher(maxBatch, maxWaiting int) *batcher {
	return &batcher{max: maxBatch, maxWaiting: maxWaiting, budget: newBudget(runtime.GOMAXPROCS(0), maxBatch)}
}

// verify reports whether claim holds. The error is ErrBusy, or that of a ctx which ended while the
// claim was in the queue; others' answers do not depend on it.
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
	c.wake = make(chan wakening, 1)
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
		b.leave(c)
		return false, ctx.Err()
	}
}

// leave takes c out of the queue or, where it was just given a lead, gives that to the next.
func (b *batcher) leave(c *check) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.queue, c); i >= 0 {
		b.queue = slices.Delete(b.queue, i, i+1)
		return
	}
	select {
	case w := <-c.wake:
		if w == lead {
			b.pass()
		}
	default: // some leader has it, who will not be heard
	}
}

// leadFrom verifies c and a share of the queue, with a lead that it takes and b.mu locked. It leaves
// b.mu unlocked, and the lead with another.
func (b *batcher) leadFrom(c *check) {
	n := b.share()
	batch := append(make([]*check, 0, n), c)
	batch = append(batch, b.queue[:n-1]...)
	b.queue = slices.Delete(b.queue, 0, n-1)
	b.budget.reserve(n)
	b.mu.Unlock()

	bad := n // should settle panic, all are refused
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.budget.settle(n, bad)
		for _, other := range batch[1:] {
			other.wake <- answered
		}
		b.pass()
	}()
	bad = settle(batch)
}

// share returns how many claims the next leader verifies, its own included: what the leaders have to
// do between them, within what may be lost if they should fail.
func (b *batcher) share() int {
	waiting, cores := len(b.queue)+1, runtime.GOMAXPROCS(0)
	share := max(minShare, (waiting+cores-1)/cores)
	return min(waiting, share, b.max, b.budget.batch())
}

// pass gives a lead to who has waited longest, or up. b.mu is locked.
func (b *batcher) pass() {
	if len(b.queue) == 0 || b.leaders > runtime.GOMAXPROCS(0) {
		b.leaders--
		return
	}
	next := b.queue[0]
	b.queue = slices.Delete(b.queue, 0, 1)
	next.wake <- lead
}

// settle verifies batch and returns how many of it do not hold.
func settle(batch []*check) (bad int) {
	claims := make([]bls.Claim, len(batch))
	for i, c := range batch {
		claims[i] = c.claim
	}
	oks, err := bls.VerifyBatch(bls.Augmented, claims, rand.Reader)
	for i, c := range batch {
		if err != nil { // no randomness; with crypto/rand the program would have ended
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
