package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// OpenRecipe implements [RecipeOrigin]: the recipe of the first source that has one, else the module.
func (c *crowd) OpenRecipe(ctx context.Context, root merkle.Hash, bases []*module.Recipe) (*RecipeAnswer, error) {
	c.mu.Lock()
	asked := c.live()
	r := c.round(root)
	if r.alone != nil {
		asked = []*source{r.alone}
	}
	c.mu.Unlock()
	for _, s := range asked {
		from, ok := s.from.(RecipeOrigin)
		if !ok {
			continue
		}
		answer, err := from.OpenRecipe(ctx, root, bases)
		switch {
		case err != nil && ctx.Err() != nil:
			return nil, err
		case err != nil:
			if isLie(err) {
				c.accuse(s, err)
			}
			continue
		case answer.Recipe != nil:
			c.mu.Lock()
			r.tried = append(r.tried[:0], s)
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

// Spans implements [SpanOrigin]. The parts are dealt out among the sources; one that take refuses is asked of another.
func (c *crowd) Spans(ctx context.Context, root merkle.Hash, want []Span, take func(i int, body io.Reader) error) error {
	c.mu.Lock()
	asked := c.live()
	if alone := c.round(root).alone; alone != nil {
		asked = []*source{alone}
	}
	c.mu.Unlock()
	d := &deal{c: c, root: root, want: want, take: take, left: c.lots(want)}
	d.ctx, d.cancel = context.WithCancel(ctx)
	defer d.cancel()
	d.changed.L = &d.mu
	defer context.AfterFunc(d.ctx, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.changed.Broadcast()
	})()
	var group sync.WaitGroup
	for _, s := range asked {
		if from, ok := s.from.(SpanOrigin); ok {
			group.Go(func() { d.work(s, from) })
		}
	}
	group.Wait()
	switch {
	case d.err != nil:
		return d.err
	case len(d.left) > 0 && ctx.Err() == nil:
		return errors.Join(append(d.failed, fmt.Errorf("remote: fetch parts of %s: %w: no origin gives them", root, ErrProtocol))...)
	}
	return ctx.Err()
}

// A lot is some spans that are asked for together.
type lot struct {
	from, to int // in want
	bytes    int64
	not      []*source // that had them wrong, or not at all
}

// lots cuts want into runs of about a piece.
func (c *crowd) lots(want []Span) (out []*lot) {
	for i, w := range want {
		if len(out) == 0 || out[len(out)-1].bytes+w.Length > c.opt.Piece {
			out = append(out, &lot{from: i})
		}
		l := out[len(out)-1]
		l.to, l.bytes = i+1, l.bytes+w.Length
	}
	return out
}

// A deal is what is left to do of a call of Spans.
type deal struct {
	c      *crowd
	ctx    context.Context
	cancel context.CancelFunc
	root   merkle.Hash
	want   []Span
	take   func(int, io.Reader) error

	taking sync.Mutex // take is called by one at a time

	mu      sync.Mutex
	left    []*lot
	busy    int
	failed  []error
	err     error
	changed sync.Cond
}

// next gives a source a lot that it has not failed with. It waits while lots are out that may come back.
func (d *deal) next(s *source) *lot {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.err == nil && d.ctx.Err() == nil {
		for i, l := range d.left {
			if !contains(l.not, s) && !d.c.out(s) {
				d.left = append(d.left[:i:i], d.left[i+1:]...)
				d.busy++
				return l
			}
		}
		if d.busy == 0 || d.c.out(s) {
			return nil
		}
		d.changed.Wait()
	}
	return nil
}

func (d *deal) work(s *source, from SpanOrigin) {
	for l := d.next(s); l != nil; l = d.next(s) {
		err, refused := d.fetch(s, from, l)
		d.mu.Lock()
		d.busy--
		switch {
		case err == nil:
		case d.ctx.Err() != nil:
		case refused != nil && !errors.Is(refused, ErrVerification) && !errors.Is(refused, module.ErrVerify):
			if d.err == nil { // not an origin's fault
				d.err = err
				d.cancel()
			}
		default:
			d.failed = append(d.failed, fmt.Errorf("%s: %w", s.name, err))
			l.not = append(l.not, s)
			d.left = append(d.left, l)
			if refused == nil && (isLie(err) || isRetried(err)) {
				d.c.accuse(s, err)
			}
			if refused != nil {
				w := d.want[l.from]
				d.c.mu.Lock()
				r := d.c.round(d.root)
				r.doubt = append(r.doubt, saying{by: s, offset: w.Offset, n: l.bytes})
				d.c.mu.Unlock()
			}
		}
		d.changed.Broadcast()
		d.mu.Unlock()
	}
}

// fetch gets the spans of a lot; refused is an error of take that is not one of reading what the origin sent. A span that
// is longer than a piece goes through as it comes, others are read first, so that a slow origin does not hold up the rest.
func (d *deal) fetch(s *source, from SpanOrigin, l *lot) (err, refused error) {
	err = from.Spans(d.ctx, d.root, d.want[l.from:l.to], func(i int, body io.Reader) error {
		sent := &spanReader{r: body, left: d.want[l.from+i].Length}
		body = sent
		if d.want[l.from+i].Length <= d.c.opt.Piece {
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
		s.account.Bytes += l.bytes
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

func contains(list []*source, s *source) bool {
	for _, have := range list {
		if have == s {
			return true
		}
	}
	return false
}
