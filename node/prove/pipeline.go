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
	// ErrBusy: too many challenges are running and waiting.
	ErrBusy = errors.New("too many challenges at once")
	// ErrPanic: making a proof panicked. It is capsule.ErrPanic.
	ErrPanic = capsule.ErrPanic
)

// Answerer answers challenges. *capsule.Responder implements it.
type Answerer interface {
	Answer(ctx context.Context, c *capsule.Challenge) (*capsule.Bundle, error)
}

// Options are the settings of New. nil and the zero value are the defaults.
type Options struct {
	// Workers is the number of challenges answered at once: 0 means the number of CPUs.
	Workers int
	// Queue is the number of challenges that may wait: 0 means four times Workers, negative none.
	Queue int
}

// Stats are counts since the Pipeline was made.
type Stats struct {
	Running  int // challenges being answered
	Waiting  int
	Answered uint64
	Failed   uint64 // with any error except ErrBusy
	Busy     uint64
}

// Pipeline answers a bounded number of challenges at once. It starts no goroutine and is safe for
// concurrent use.
type Pipeline struct {
	answerer Answerer
	admitted chan struct{} // one for each challenge that runs or waits
	slots    chan struct{} // one for each that runs

	mu    sync.Mutex
	stats Stats
}

var _ Answerer = (*Pipeline)(nil)

// New returns a Pipeline that wraps a.
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

// Answer answers a challenge, after waiting for a slot. If ctx ends first, the error is that of
// ctx. If too many challenges wait, the error is ErrBusy, without waiting. Other errors are the
// Answerer's.
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
