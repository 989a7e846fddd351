package multisource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// OpenRecipe implements [RecipeOpener]: the recipe of the first source that has one, else the
// module.
func (c *Set) OpenRecipe(ctx context.Context, root merkle.Hash,
	bases []*module.Recipe) (*RecipeAnswer, error) {
	for _, s := range c.asked(root) {
		from, ok := s.from.(RecipeOpener)
		if !ok {
			continue
		}
		answer, err := from.OpenRecipe(ctx, root, bases)
		switch {
		case err != nil && ctx.Err() != nil:
			return nil, err
		case err != nil:
			if wire.IsFault(err) {
				c.accuse(s, err)
			}
			continue
		case answer.Recipe != nil:
			c.mu.Lock()
			t := c.transfer(root)
			t.tried = append(t.tried[:0], s)
			c.mu.Unlock()
			return answer, nil
		}
		answer.Module.Close() // it comes from all of them
		break
	}
	mod, err := c.Module(ctx, root)
	if err != nil {
		return nil, err
	}
	return &RecipeAnswer{Module: mod}, nil
}

// asked returns the sources that are asked for a generation.
func (c *Set) asked(root merkle.Hash) []*Source {
	c.mu.Lock()
	defer c.mu.Unlock()
	if alone := c.transfer(root).alone; alone != nil {
		return []*Source{alone}
	}
	return c.live()
}

// Spans implements [Spanner]. The parts are shared out among the sources; one that take refuses is
// asked of another.
func (c *Set) Spans(ctx context.Context, root merkle.Hash, want []Span,
	take func(i int, body io.Reader) error) error {
	d := &scheduler{c: c, root: root, want: want, take: take, left: c.batches(want)}
	d.ctx, d.cancel = context.WithCancel(ctx)
	defer d.cancel()
	d.changed.L = &d.mu
	defer context.AfterFunc(d.ctx, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.changed.Broadcast()
	})()
	var group sync.WaitGroup
	for _, s := range c.asked(root) {
		if from, ok := s.from.(Spanner); ok {
			group.Go(func() { d.work(s, from) })
		}
	}
	group.Wait()
	switch {
	case d.err != nil:
		return d.err
	case len(d.left) > 0 && ctx.Err() == nil:
		return errors.Join(append(d.failed,
			fmt.Errorf("remote: fetch parts of %s: %w: no origin gives them", root, wire.ErrProtocol))...)
	}
	return ctx.Err()
}

// A batch is a run of spans that are asked for together.
type batch struct {
	from, to int // in want
	bytes    int64
	failed   []*Source // that gave them wrong, or not at all
}

// batches cuts want into batches of about a segment.
func (c *Set) batches(want []Span) (out []*batch) {
	for i, w := range want {
		if len(out) == 0 || out[len(out)-1].bytes+w.Length > c.opt.Segment {
			out = append(out, &batch{from: i})
		}
		l := out[len(out)-1]
		l.to, l.bytes = i+1, l.bytes+w.Length
	}
	return out
}

// A scheduler shares out the batches of one call of Spans.
type scheduler struct {
	c      *Set
	ctx    context.Context
	cancel context.CancelFunc
	root   merkle.Hash
	want   []Span
	take   func(int, io.Reader) error

	taking sync.Mutex // take is called by one at a time

	mu      sync.Mutex
	left    []*batch
	busy    int
	failed  []error
	err     error
	changed sync.Cond
}

// next gives a source a batch that it has not failed with. It waits while others fetch batches that
// may fail.
func (d *scheduler) next(s *Source) *batch {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.err == nil && d.ctx.Err() == nil {
		for i, l := range d.left {
			if !slices.Contains(l.failed, s) && !d.c.excluded(s) {
				d.left = append(d.left[:i:i], d.left[i+1:]...)
				d.busy++
				return l
			}
		}
		if d.busy == 0 || d.c.excluded(s) {
			return nil
		}
		d.changed.Wait()
	}
	return nil
}

func (d *scheduler) work(s *Source, from Spanner) {
	for l := d.next(s); l != nil; l = d.next(s) {
		err, refused := d.fetch(s, from, l)
		d.mu.Lock()
		d.busy--
		switch {
		case err == nil:
		case d.ctx.Err() != nil:
		case refused != nil && !errors.Is(refused, wire.ErrVerification) &&
			!errors.Is(refused, module.ErrVerify):
			if d.err == nil { // the fault of no origin
				d.err = err
				d.cancel()
			}
		default:
			d.failed = append(d.failed, fmt.Errorf("%s: %w", s.name, err))
			l.failed = append(l.failed, s)
			d.left = append(d.left, l)
			if refused == nil && (wire.IsFault(err) || d.c.opt.Retried(err)) {
				d.c.accuse(s, err)
			}
			if refused != nil {
				w := d.want[l.from]
				d.c.mu.Lock()
				t := d.c.transfer(d.root)
				t.disputed = append(t.disputed, contribution{by: s, offset: w.Offset, n: l.bytes})
				d.c.mu.Unlock()
			}
		}
		d.changed.Broadcast()
		d.mu.Unlock()
	}
}

// fetch gets the spans of a batch; refused is an error of take that is not one of reading what the
// origin sent. A span that is longer than a segment goes through as it comes, others are read
// first, so that a slow origin does not hold up the rest.
func (d *scheduler) fetch(s *Source, from Spanner, l *batch) (err, refused error) {
	err = from.Spans(d.ctx, d.root, d.want[l.from:l.to], func(i int, body io.Reader) error {
		sent := &spanReader{r: body, left: d.want[l.from+i].Length}
		body = sent
		if d.want[l.from+i].Length <= d.c.opt.Segment {
			part := make([]byte, d.want[l.from+i].Length)
			if _, err := io.ReadFull(body, part); err != nil {
				return err
			}
			body = bytes.NewReader(part)
		}
		d.taking.Lock()
		defer d.taking.Unlock()
		err := d.take(l.from+i, body)
		if sent.err == nil {
			refused = err
		}
		return err
	})
	if err == nil {
		d.c.mu.Lock()
		s.bytes += l.bytes
		d.c.mu.Unlock()
	}
	return err, refused
}

// A spanReader notes the error that kept it from reading left bytes.
type spanReader struct {
	r    io.Reader
	left int64
	err  error
}

func (s *spanReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if s.left -= int64(n); err != nil && s.left > 0 {
		s.err = err
	}
	return n, err
}
