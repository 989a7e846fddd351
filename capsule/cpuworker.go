package capsule

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

const (
	workRange = 1 << 16 // nonces that a goroutine takes at once, at most
	workCheck = 1 << 12 // nonces between two looks at the context: under 2 ms
)

// expected returns how many nonces there are for one that has so many zero bits.
func expected(bits int) uint64 { return 1 << min(max(bits, 0), 63) }

// rangeFor returns how many nonces a goroutine takes at once when one of 2^bits fits: an eighth
// of those, so that the goroutines of one search hash little behind the nonce that is found.
func rangeFor(bits int) uint64 {
	return min(max(workCheck, expected(bits)/8), workRange)
}

// CPUWorker searches nonces on the cores of this machine. All searches share its goroutines, so
// that the machine is never used beyond their number.
type CPUWorker struct {
	slots chan struct{}
}

var _ Worker = (*CPUWorker)(nil)

// NewCPUWorker returns a worker that hashes on n cores at once; n that is not positive means
// GOMAXPROCS.
func NewCPUWorker(n int) *CPUWorker {
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	return &CPUWorker{slots: make(chan struct{}, n)}
}

// Name returns "cpu".
func (w *CPUWorker) Name() string { return "cpu" }

// Search implements Worker. Its goroutines have ended when it returns.
func (w *CPUWorker) Search(ctx context.Context, in WorkInput, bits int) (uint64, error) {
	s := &workSearch{slots: w.slots, in: in, bits: bits, size: rangeFor(bits)}
	s.best.Store(noNonce)
	// A short search is over before a second goroutine is of use.
	if n := min(uint64(cap(w.slots)), expected(bits)/s.size); n > 1 {
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() { s.run(ctx) })
		}
		wg.Wait()
	} else {
		s.run(ctx)
	}
	if err := ctx.Err(); err != nil {
		return 0, context.Cause(ctx)
	}
	return s.best.Load(), nil
}

const noNonce = 1<<64 - 1

// workSearch is one search, which several goroutines run. Ranges are taken in order, and one
// below the best nonce found is always finished, so that the lowest nonce is found whatever the
// number of goroutines.
type workSearch struct {
	slots chan struct{}
	in    WorkInput
	bits  int
	size  uint64        // of a range
	next  atomic.Uint64 // first nonce of the next range
	best  atomic.Uint64 // lowest nonce found
}

func (s *workSearch) run(ctx context.Context) {
	k := newWorkKernel(s.in, s.bits)
	for {
		select {
		case s.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		done := s.runRange(ctx, k)
		<-s.slots
		if done {
			return
		}
	}
}

// runRange searches the next range, and reports whether there is nothing left to do.
func (s *workSearch) runRange(ctx context.Context, k workKernel) bool {
	from := s.next.Add(s.size) - s.size
	for at := from; at-from < s.size; at += workCheck {
		if ctx.Err() != nil || at >= s.best.Load() {
			return true
		}
		runtime.Gosched() // reads and cancellation wait for no longer than one check
		if nonce, ok := k.search(at, workCheck); ok {
			for {
				best := s.best.Load()
				if nonce >= best || s.best.CompareAndSwap(best, nonce) {
					return true
				}
			}
		}
	}
	return false
}

// workKernel hashes nonces one after the other. It is for one goroutine.
type workKernel interface {
	// search returns the lowest nonce of the count from from that has enough zero bits.
	search(from, count uint64) (nonce uint64, ok bool)
}
