package multisource

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

// Rules of a striped transfer.
const (
	maxSegments = 16 // in memory
	// maxLost is how many consecutive segments a source may lose to a faster one, or fail with,
	// before it is excluded.
	maxLost = 3
	// A segment is requested from a second source when it takes slowFactor times as long as that
	// source needed for its last segment, and at least slowLeast.
	slowFactor = 3
	slowLeast  = 250 * time.Millisecond
)

// A stripedReader reads a module in segments from several sources at once, and returns them in
// order.
type stripedReader struct {
	c      *Set
	ctx    context.Context
	cancel context.CancelCauseFunc
	group  sync.WaitGroup
	root   merkle.Hash
	size   int64 // of the whole module
	window int

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when a field below changes
	from    int64         // offset of the first segment
	// segments are requested or received, in order; Read returns the first
	segments []*segment
	next     int64 // offset of the next segment
	working  int   // sources that fetch segments
	last     error // of the last source that failed
	err      error
	read     int // bytes of the first segment
}

// A segment is a span of the module that was requested or received.
type segment struct {
	offset int64
	n      int64
	body   []byte // nil: not received
	by     []*Source
	begun  time.Time
	stop   context.CancelFunc // ends the requests for it
	ctx    context.Context
}

// striped starts to fetch a module of a known length.
func (c *Set) striped(ctx context.Context, root merkle.Hash, from []*Source, offset,
	size int64) *stripedReader {
	s := &stripedReader{c: c, root: root, size: size, from: offset, next: offset,
		changed: make(chan struct{}),
		window:  min(maxSegments, 2+2*len(from)), working: len(from)}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	for _, src := range from {
		s.group.Go(func() { s.work(src) })
	}
	return s
}

// Size is the length of the whole module.
func (s *stripedReader) Size() int64 { return s.size }

// change wakes all goroutines that wait for a change. The caller has the lock.
func (s *stripedReader) change() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *stripedReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		s.mu.Lock()
		if len(s.segments) > 0 && s.segments[0].body != nil {
			first := s.segments[0]
			n := copy(p, first.body[s.read:])
			if s.read += n; s.read == len(first.body) {
				s.segments, s.read = s.segments[1:], 0
				s.change()
			}
			s.mu.Unlock()
			return n, nil
		}
		done := len(s.segments) == 0 && s.next >= s.size
		err, changed := s.err, s.changed
		s.mu.Unlock()
		if done {
			return 0, io.EOF
		}
		if err != nil {
			s.c.broke(s.root)
			return 0, err
		}
		select {
		case <-changed:
		case <-s.ctx.Done():
			return 0, context.Cause(s.ctx)
		}
	}
}

// Close ends all requests and waits for them.
func (s *stripedReader) Close() error {
	s.cancel(context.Canceled)
	s.group.Wait()
	return nil
}

// work fetches segments from one source until there is none left for it.
func (s *stripedReader) work(src *Source) {
	pace := time.Duration(-1) // of its last segment; -1: it has sent none yet
	for {
		p, wait := s.nextSegment(src, pace)
		if p == nil && wait == nil {
			break
		}
		if p == nil {
			timer := time.NewTimer(slowLeast)
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
		if !s.received(p, src, body, err) {
			break
		}
	}
	s.c.mu.Lock()
	out := src.err // perhaps because of another generation
	s.c.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = cmp.Or(s.last, out)
	if s.working--; s.working == 0 && s.err == nil && !s.complete() {
		s.err = fmt.Errorf("remote: fetch %s: all origins failed: %w", s.root, cmp.Or(s.last, errWhole))
	}
	s.change()
}

// complete reports whether every segment was received. The caller has the lock.
func (s *stripedReader) complete() bool {
	return s.next >= s.size && !slices.ContainsFunc(s.segments, func(p *segment) bool {
		return p.body == nil
	})
}

// nextSegment returns the next segment for a source: a new one, or one that another source fetches
// too slowly. If there is none yet, it returns a channel to wait for, and if there will be none,
// nil for both.
func (s *stripedReader) nextSegment(src *Source, pace time.Duration) (*segment, <-chan struct{}) {
	s.c.mu.Lock()
	out := src.err != nil || src.whole
	s.c.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if out || s.ctx.Err() != nil || s.next >= s.size && len(s.segments) == 0 {
		return nil, nil
	}
	for _, p := range s.segments {
		if p.body != nil || slices.Contains(p.by, src) {
			continue
		}
		slow := pace >= 0 && time.Since(p.begun) > max(slowLeast, slowFactor*pace)
		if len(p.by) == 0 || slow {
			p.by = append(p.by, src)
			return p, nil
		}
	}
	if s.next < s.size && len(s.segments) < s.window {
		p := &segment{offset: s.next, n: min(s.c.opt.Segment, s.size-s.next),
			by: []*Source{src}, begun: time.Now()}
		p.ctx, p.stop = context.WithCancel(s.ctx)
		s.next += p.n
		s.segments = append(s.segments, p)
		return p, nil
	}
	return nil, s.changed
}

// received records the result of a source for a segment, and reports whether the source continues.
func (s *stripedReader) received(p *segment, src *Source, body []byte, err error) bool {
	s.mu.Lock()
	late := p.body != nil
	if err == nil && !late {
		p.body = body
		p.stop()
	}
	if err != nil {
		s.last = err
		if i := slices.Index(p.by, src); i >= 0 { // another source may have it
			p.by = slices.Delete(p.by, i, i+1)
		}
	}
	s.change()
	s.mu.Unlock()
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	switch {
	case err == nil && !late:
		src.lost = 0
		t := s.c.transfer(s.root)
		t.contributions = append(t.contributions, &contribution{src, p.offset, p.n, sha256.Sum256(body)})
		return true
	case s.ctx.Err() != nil:
		return false
	case late:
		if src.lost++; src.lost >= maxLost {
			s.c.exclude(src, fmt.Errorf("remote: fetch %s from %s: %w", s.root, src.name, ErrSlow))
		}
	case errors.Is(err, errors.ErrUnsupported):
		src.whole = true
	case s.c.opt.Lasting(err), s.c.opt.Retried(err):
		s.c.exclude(src, err)
	default:
		if src.lost++; src.lost >= maxLost {
			s.c.exclude(src, err)
		}
	}
	return src.err == nil && !src.whole
}

// fetch reads one segment from one source.
func (s *stripedReader) fetch(p *segment, src *Source) (body []byte, err error) {
	if parts, ok := src.from.(Spanner); ok {
		want := []Span{{Offset: p.offset, Length: p.n}}
		err = parts.Spans(p.ctx, s.root, want, func(_ int, r io.Reader) error {
			body = make([]byte, p.n)
			_, err := io.ReadFull(r, body)
			return err
		})
		return body, err
	}
	r, start, err := OpenAt(p.ctx, src.from, s.root, p.offset)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if start != p.offset {
		return nil, errWhole
	}
	if n := SizeOf(r); n > 0 && n != s.size {
		return nil, s.c.opt.Refusal(CheckSize, strconv.FormatInt(s.size, 10), strconv.FormatInt(n, 10))
	}
	body = make([]byte, p.n)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, fmt.Errorf("remote: fetch %s at byte %d: %w", s.root, p.offset, err)
	}
	return body, nil
}
