package prove

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/dig-network/digstore/capsule"
)

// Errors of a Pipeline, besides those of its Answerer.
var (
	// ErrBusy: as many challenges are answered and wait as may.
	ErrBusy = errors.New("too many challenges at once")
	// ErrPanic: making a proof panicked. It is capsule.ErrPanic.
	ErrPanic = capsule.ErrPanic
)

// Answerer answers challenges. *capsule.Responder is one.
type Answerer interface {
	Answer(ctx context.Context, c *capsule.Challenge) (*capsule.Bundle, error)
}

// Options are the settings of New. nil and the zero value are the defaults.
type Options struct {
	// Workers is how many challenges are answered at once: 0 means the number of CPUs.
	Workers int
	// Queue is how many challenges wait for that: 0 means four times Workers, negative none.
	Queue int
}

// Stats are counts since the Pipeline was made.
type Stats struct {
	Running  int // challenges that are being answered now
	Waiting  int
	Answered uint64
	Failed   uint64 // with any error but ErrBusy
	Busy     uint64
}

// Pipeline answers challenges, at most so many at once. It starts no goroutine and is safe for
// concurrent use.
type Pipeline struct {
	answerer Answerer
	admitted chan struct{} // one for each challenge that runs or waits
	slots    chan struct{} // one for each that runs

	mu    sync.Mutex
	stats Stats
}

var _ Answerer = (*Pipeline)(nil)

// New returns a Pipeline in front of a.
func New(a Answerer, o *Options) *Pipeline {
	var d Options
	if o != nil {
		d = *o
	}
	if d.Workers <= 0 {
		d.Workers = runtime.NumCPU()
	}
	switch {
	case d.Queue == 0:
		d.Queue = 4 * d.Workers
	case d.Queue < 0:
		d.Queue = 0
	}
	return &Pipeline{answerer: a, admitted: make(chan struct{}, d.Workers+d.Queue),
		slots: make(chan struct{}, d.Workers)}
}

// Answer answers a challenge when its turn comes. The error is that of ctx when this ends before,
// ErrBusy without waiting when too many wait, and else the Answerer's.
func (p *Pipeline) Answer(ctx context.Context, c *capsule.Challenge) (*capsule.Bundle, error) {
	select {
	case p.admitted <- struct{}{}:
	default:
		p.count(func(s *Stats) { s.Busy++ })
		return nil, fmt.Errorf("answer challenge %s: %w: %d", c.ID, ErrBusy, cap(p.admitted))
	}
	defer func() { <-p.admitted }()
	p.count(func(s *Stats) { s.Waiting++ })
	err := p.wait(ctx)
	p.count(func(s *Stats) { s.Waiting-- })
	if err != nil {
		p.count(func(s *Stats) { s.Failed++ })
		return nil, fmt.Errorf("answer challenge %s: %w", c.ID, err)
	}
	defer func() { <-p.slots }()
	p.count(func(s *Stats) { s.Running++ })
	b, err := p.answer(ctx, c)
	p.count(func(s *Stats) {
		s.Running--
		if err == nil {
			s.Answered++
		} else {
			s.Failed++
		}
	})
	return b, err
}

// wait takes a slot.
func (p *Pipeline) wait(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// answer makes a panic the error of the challenge.
func (p *Pipeline) answer(
	ctx context.Context, c *capsule.Challenge,
) (b *capsule.Bundle, err error) {
	defer func() {
		if r := recover(); r != nil {
			b, err = nil, fmt.Errorf("answer challenge %s: %w: %v\n%s", c.ID, ErrPanic, r, debug.Stack())
		}
	}()
	return p.answerer.Answer(ctx, c)
}

func (p *Pipeline) count(f func(*Stats)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.stats)
}

// Stats returns the counts.
func (p *Pipeline) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}
