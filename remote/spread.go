package remote

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/dig-network/digstore/merkle"
)

// Rules of a spread transfer.
const (
	maxPieces   = 16                     // held in memory, at most
	maxLost     = 3                      // pieces in a row that a source may lose to others, or break
	stealFactor = 3                      // a piece is taken over when it takes so many times what the thief took for its last one,
	stealLeast  = 250 * time.Millisecond // and this at least
)

// A spread is a module that comes in pieces from several sources at once, in order to its reader.
type spread struct {
	c      *crowd
	ctx    context.Context
	cancel context.CancelCauseFunc
	group  sync.WaitGroup
	root   merkle.Hash
	size   int64 // of the whole module
	window int

	mu      sync.Mutex
	changed chan struct{} // closed, and another put in its place, when something below changes
	from    int64         // offset of the first piece
	pieces  []*piece      // that are asked for or here, in order; the first is the one being read
	next    int64         // where the next piece begins
	working int           // sources that have not given up
	last    error         // why a source failed last
	err     error
	read    int // of the first piece
}

// A piece is a part of the module on its way or here.
type piece struct {
	offset int64
	n      int64
	body   []byte // nil: on its way
	by     []*source
	begun  time.Time
	stop   context.CancelFunc // ends those that are on it
	ctx    context.Context
}

// spread begins to fetch a module of a known length.
func (c *crowd) spread(ctx context.Context, root merkle.Hash, from []*source, offset, size int64) *spread {
	s := &spread{c: c, root: root, size: size, from: offset, next: offset, changed: make(chan struct{}),
		window: min(maxPieces, 2+2*len(from)), working: len(from)}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	for _, src := range from {
		s.group.Go(func() { s.work(src) })
	}
	return s
}

// Size is the length of the whole module.
func (s *spread) Size() int64 { return s.size }

// change wakes whoever waits. The caller has the lock.
func (s *spread) change() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *spread) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		s.mu.Lock()
		if len(s.pieces) > 0 && s.pieces[0].body != nil {
			first := s.pieces[0]
			n := copy(p, first.body[s.read:])
			if s.read += n; s.read == len(first.body) {
				s.pieces, s.read = s.pieces[1:], 0
				s.change()
			}
			s.mu.Unlock()
			return n, nil
		}
		done := len(s.pieces) == 0 && s.next >= s.size
		err, changed := s.err, s.changed
		s.mu.Unlock()
		if done {
			return 0, io.EOF
		}
		if err != nil {
			s.c.mu.Lock()
			s.c.round(s.root).broke = true
			s.c.mu.Unlock()
			return 0, err
		}
		select {
		case <-changed:
		case <-s.ctx.Done():
			return 0, context.Cause(s.ctx)
		}
	}
}

// Close ends all that is on its way and waits for it.
func (s *spread) Close() error {
	s.cancel(context.Canceled)
	s.group.Wait()
	return nil
}

// work fetches pieces from one source until there is none left for it.
func (s *spread) work(src *source) {
	pace := time.Duration(-1) // that its last piece took; -1: it has brought none yet
	for {
		p, wait := s.take(src, pace)
		if p == nil && wait == nil {
			break
		}
		if p == nil {
			timer := time.NewTimer(stealLeast)
			select {
			case <-wait:
			case <-timer.C:
			case <-s.ctx.Done():
			}
			timer.Stop()
			continue
		}
		begun := time.Now()
		body, err := s.fetch(p, src)
		pace = time.Since(begun)
		if !s.bring(p, src, body, err) {
			break
		}
	}
	s.c.mu.Lock()
	out := src.err // perhaps for what it did with another generation
	s.c.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = cmp.Or(s.last, out)
	if s.working--; s.working == 0 && s.err == nil && !s.complete() {
		s.err = fmt.Errorf("remote: fetch %s: no origin is left: %w", s.root, cmp.Or(s.last, errWhole))
	}
	s.change()
}

// complete reports whether every piece is here. The caller has the lock.
func (s *spread) complete() bool {
	return s.next >= s.size && !slices.ContainsFunc(s.pieces, func(p *piece) bool { return p.body == nil })
}

// take gives a source its next piece: a new one, or one that another source is too slow with. Without one it returns
// what to wait for; nil, too, when all is done.
func (s *spread) take(src *source, pace time.Duration) (*piece, <-chan struct{}) {
	s.c.mu.Lock()
	out := src.err != nil || src.whole
	s.c.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if out || s.ctx.Err() != nil || s.next >= s.size && len(s.pieces) == 0 {
		return nil, nil
	}
	for _, p := range s.pieces {
		if p.body != nil || on(p, src) {
			continue
		}
		if len(p.by) == 0 || time.Since(p.begun) > max(stealLeast, stealFactor*pace) && pace >= 0 {
			p.by = append(p.by, src)
			return p, nil
		}
	}
	if s.next < s.size && len(s.pieces) < s.window {
		p := &piece{offset: s.next, n: min(s.c.opt.Piece, s.size-s.next), by: []*source{src}, begun: time.Now()}
		p.ctx, p.stop = context.WithCancel(s.ctx)
		s.next += p.n
		s.pieces = append(s.pieces, p)
		return p, nil
	}
	return nil, s.changed
}

func on(p *piece, src *source) bool {
	for _, s := range p.by {
		if s == src {
			return true
		}
	}
	return false
}

// bring takes what a source has for a piece, and reports whether it may go on.
func (s *spread) bring(p *piece, src *source, body []byte, err error) bool {
	s.mu.Lock()
	late := p.body != nil
	if err == nil && !late {
		p.body = body
		p.stop()
	}
	if err != nil {
		s.last = err
		for i, by := range p.by { // whoever is free may have it
			if by == src {
				p.by = append(p.by[:i:i], p.by[i+1:]...)
				break
			}
		}
	}
	s.change()
	s.mu.Unlock()
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	switch {
	case err == nil && !late:
		src.lost = 0
		r := s.c.round(s.root)
		r.said = append(r.said, saying{src, p.offset, p.n, sha256.Sum256(body)})
		return true
	case s.ctx.Err() != nil:
		return false
	case late:
		if src.lost++; src.lost >= maxLost {
			s.c.drop(src, fmt.Errorf("remote: fetch %s from %s: %w", s.root, src.name, errSlow))
		}
	case errors.Is(err, errors.ErrUnsupported):
		src.whole = true
	case lasting(err), isRetried(err):
		s.c.drop(src, err)
	default:
		if src.lost++; src.lost >= maxLost {
			s.c.drop(src, err)
		}
	}
	return src.err == nil && !src.whole
}

// errWhole is a source that gives modules from their start only.
var errWhole = fmt.Errorf("the origin gives no parts of a module: %w", errors.ErrUnsupported)

// fetch gets one piece from one source.
func (s *spread) fetch(p *piece, src *source) (body []byte, err error) {
	if parts, ok := src.from.(SpanOrigin); ok {
		err = parts.Spans(p.ctx, s.root, []Span{{p.offset, p.n}}, func(_ int, r io.Reader) error {
			body = make([]byte, p.n)
			_, err := io.ReadFull(r, body)
			return err
		})
		return body, err
	}
	r, start, err := moduleFrom(p.ctx, src.from, s.root, p.offset)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if start != p.offset {
		return nil, errWhole
	}
	if n := sizeOf(r); n > 0 && n != s.size {
		return nil, &VerificationError{Check: CheckSize, Want: strconv.FormatInt(s.size, 10), Got: strconv.FormatInt(n, 10)}
	}
	body = make([]byte, p.n)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, fmt.Errorf("remote: fetch %s at byte %d: %w", s.root, p.offset, err)
	}
	return body, nil
}
