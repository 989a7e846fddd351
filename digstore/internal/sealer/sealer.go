// Package sealer cuts the contents of many resources into chunks and seals them, on all cores and
// in bounded memory. It delivers the chunks in order.
//
// The work is divided into units: some small resources, or a part of a large one. Every unit goes
// to the workers, and to a queue for the goroutine that calls Sealer.Keep. That goroutine waits for
// the units in the order in which they were made, so the chunks of a resource, and of consecutive
// resources, are adjacent in the pack. Workers read, cut, seal and hash small resources whole. A
// large one is read by the goroutine that makes the units, cut on all cores, and sealed and hashed
// by workers. Its leaf, the hash of all its sealed bytes, is computed after Keep: that is the only
// step that runs on one core.
package sealer

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/digstore/urn"
)

const (
	unitSize   = 512 << 10 // plaintext of one unit
	smallSize  = unitSize  // a resource up to this is read whole by a worker
	windowSize = 4 << 20   // plaintext of a large resource in memory at once
)

// unit is a piece of work and, when it is done, its frames.
type unit struct {
	jobs   []*Job // small resources, or the one large
	plain  []byte // of a large resource: a part of win
	cuts   []int  // lengths of its chunks
	win    *window
	last   bool // of the large resource
	frames []byte
	chunks []module.Chunk
	done   chan struct{}
	refs   int // of frames, under Sealer.mu
}

// window is a buffer that units of a large resource are parts of.
type window struct {
	buf   []byte
	ends  []int
	units sync.WaitGroup
}

// A Sealer seals the resources of one store.
type Sealer struct {
	Store     auth.StoreID
	Salt      *urn.Salt // nil: the store is public
	Workers   int       // goroutines; at least 1
	HashPlain bool      // hash plaintexts too
	// CheckSize returns an error for a resource of too many bytes. nil: there is no limit.
	CheckSize func(size int64) error
	// Keep is called with chunks and their frames, from one goroutine, in order.
	Keep func(chunks []module.Chunk, frames []byte) error
	// Progress, unless it is nil, is called with bytes of plaintext that were sealed, from the same
	// goroutine.
	Progress func(n int64)

	frames  chan []byte  // free frame buffers
	windows chan *window // free windows
	leaves  chan *unit
	mu      sync.Mutex
}

// Pauses are the times between the attempts to read a file that changes.
var Pauses = [...]time.Duration{0, 10 * time.Millisecond, 50 * time.Millisecond,
	250 * time.Millisecond}

// Run reads and seals the resources.
//
// A file that changes during the read, or changed so recently that its times may not show it, is
// read again, a few times. It is settled if it did not change, or if the previous attempt read the
// same first bytes. In that case the file began with these bytes between the two attempts; if it
// only grows, they were the whole file at that time. Outcome of each job is the result. A job that
// is gone or still changing has no valid entry. The chunks of failed attempts remain in the pack.
func (p *Sealer) Run(ctx context.Context, jobs []*Job) error {
	for attempt := 0; ; attempt++ {
		if err := p.pass(ctx, jobs); err != nil {
			return err
		}
		var again []*Job
		for _, j := range jobs {
			if !j.settle(attempt == len(Pauses)) {
				again = append(again, j)
			}
		}
		if len(again) == 0 || attempt == len(Pauses) {
			return nil
		}
		select {
		case <-time.After(Pauses[attempt]):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		jobs = again
	}
}

// pass reads the jobs once.
func (p *Sealer) pass(ctx context.Context, jobs []*Job) error {
	inFlight := 2*p.Workers + 2
	p.frames = make(chan []byte, inFlight)
	for range inFlight {
		p.frames <- nil
	}
	p.windows = make(chan *window, 2)
	p.windows <- nil
	p.windows <- nil
	p.leaves = make(chan *unit, inFlight)
	work, order := make(chan *unit), make(chan *unit, inFlight)

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(work)
		defer close(order)
		return p.feed(ctx, jobs, func(u *unit) error {
			select { // a unit begins when there is a buffer for its frames
			case u.frames = <-p.frames:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			u.done = make(chan struct{})
			order <- u // never blocks: the capacity is the number of buffers
			select {
			case work <- u:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	})
	for range p.Workers {
		g.Go(func() error {
			scratch := make([]byte, smallSize)
			for u := range work {
				if err := p.do(u, scratch); err != nil {
					return err
				}
				close(u.done)
			}
			return nil
		})
	}
	g.Go(func() error {
		defer close(p.leaves)
		for u := range order {
			select {
			case <-u.done:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			if err := p.take(u); err != nil {
				return err
			}
		}
		return nil
	})
	g.Go(func() error {
		for u := range p.leaves {
			p.addLeaf(u)
		}
		return nil
	})
	return g.Wait()
}

// feed cuts the jobs into units.
func (p *Sealer) feed(ctx context.Context, jobs []*Job, emit func(*unit) error) error {
	var batch []*Job
	var size int64
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		u := &unit{jobs: batch}
		batch, size = nil, 0
		return emit(u)
	}
	for _, j := range jobs {
		if j.Size > smallSize {
			if err := flush(); err != nil {
				return err
			}
			if err := p.feedLarge(ctx, j, emit); err != nil {
				return fmt.Errorf("read %s: %w", j.Name, err)
			}
			continue
		}
		if size+j.Size > unitSize || len(batch) >= 256 {
			if err := flush(); err != nil {
				return err
			}
		}
		batch = append(batch, j)
		size += j.Size
	}
	return flush()
}

// do seals one unit.
func (p *Sealer) do(u *unit, scratch []byte) error {
	if u.win != nil {
		defer u.win.units.Done()
		j := u.jobs[0]
		u.frames = u.frames[:0]
		for at, i := 0, 0; i < len(u.cuts); i++ {
			u.seal(j.key, u.plain[at:at+u.cuts[i]])
			at += u.cuts[i]
		}
		return nil
	}
	u.frames = u.frames[:0]
	u.chunks = make([]module.Chunk, 0, len(u.jobs)+8)
	for _, j := range u.jobs {
		if err := p.doSmall(u, j, scratch); err != nil {
			return fmt.Errorf("read %s: %w", j.Name, err)
		}
	}
	return nil
}

// take passes a unit to Keep, and to the goroutine that hashes leaves if it belongs to a large
// resource.
func (p *Sealer) take(u *unit) error {
	n := int64(0)
	large := u.jobs[0].large
	if large {
		u.refs = 2
		u.jobs[0].Entry.Chunks = append(u.jobs[0].Entry.Chunks, u.chunks...)
		n = int64(len(u.plain))
		p.leaves <- u
	} else {
		u.refs = 1
		for _, j := range u.jobs {
			n += j.Bytes
		}
	}
	err := p.Keep(u.chunks, u.frames)
	p.release(u)
	if p.Progress != nil {
		p.Progress(n)
	}
	return err
}

// addLeaf hashes the sealed bytes of a part of a large resource.
func (p *Sealer) addLeaf(u *unit) {
	j := u.jobs[0]
	j.hash.frames(u.frames)
	if u.last {
		j.Entry.Leaf = j.hash.sum()
		j.hash = nil
	}
	p.release(u)
}

func (p *Sealer) release(u *unit) {
	p.mu.Lock()
	u.refs--
	free := u.refs == 0
	p.mu.Unlock()
	if free {
		p.frames <- u.frames
		u.frames = nil
	}
}
