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

// OpenRecipe implements [RecipeOpener]. It returns the recipe of the first source that has one, or
// else the module.
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
		answer.Module.Close() // the module is fetched from all sources instead
		break
	}
	mod, err := c.Module(ctx, root)
	if err != nil {
		return nil, err
	}
	return &RecipeAnswer{Module: mod}, nil
}

// asked returns the sources to use for a generation.
func (c *Set) asked(root merkle.Hash) []*Source {
	c.mu.Lock()
	defer c.mu.Unlock()
	if alone := c.transfer(root).alone; alone != nil {
		return []*Source{alone}
	}
	return c.live()
}

// Spans implements [Spanner]. It divides the spans among the sources. If take refuses a span,
// another source is asked for it.
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
			fmt.Errorf("remote: fetch spans of %s: %w: no origin sent them", root, wire.ErrProtocol))...)
	}
	return ctx.Err()
}

// A batch is consecutive spans that one request asks for.
type batch struct {
	from, to int // in want
	bytes    int64
	failed   []*Source // sources that sent wrong bytes or no bytes
}

// batches divides want into batches of about a segment.
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

// A scheduler divides the batches of one call of Spans among the sources.
type scheduler struct {
	c      *Set
	ctx    context.Context
	cancel context.CancelFunc
	root   merkle.Hash
	want   []Span
	take   func(int, io.Reader) error

	taking sync.Mutex // held during a call of take

	mu      sync.Mutex
	left    []*batch
	busy    int
	failed  []error
	err     error
	changed sync.Cond
}

// next returns a batch for a source that the source has not failed with. It waits while other
// sources fetch batches, which may fail. It returns nil if there is none.
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
			if d.err == nil { // no origin caused it
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

// fetch reads the spans of a batch from a source. refused is an error of take that is not an error
// of reading. A span of at most a segment is read completely before take is called, so that a slow
// origin does not delay the others.
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

// A spanReader records an error that occurs before left bytes were read.
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
