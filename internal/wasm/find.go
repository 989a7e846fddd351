package wasm

import (
	"fmt"
	"io"
	"math"
)

// Find returns where in the module the payload of its last matching data
// segment lies: n bytes from byte at on. The module is the first size bytes of
// r. A segment matches when it is active, its offset expression is i32.const
// offset, and match says so of its payload. The whole module is walked, so an
// error anywhere in its sections is found (see the package comment); of a
// payload only what match reads is read.
//
// The error is ErrModule or ErrNoSegment, or that of r. match cannot fail: one
// that meets an error of its reader should keep it for its caller.
func Find(r io.ReaderAt, size int64, offset uint32, match func(payload io.ReaderAt, n int64) bool) (at, n int64, err error) {
	if size < 0 {
		return 0, 0, malformed(0, "negative size %d", size)
	}
	found := false
	s := &Scanner{walk: newWalk(&file{r: r, size: size}, size), offset: offset}
	for {
		m, err := s.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, 0, err
		}
		start := s.at
		if match(io.NewSectionReader(r, start, m), m) {
			at, n, found = start, m, true
		}
		if err := s.src.skip(m); err != nil {
			return 0, 0, s.broken(err)
		}
	}
	if !found {
		return 0, 0, fmt.Errorf("%w at address %#x", ErrNoSegment, offset)
	}
	return at, n, nil
}

// A Scanner goes through a module that comes as a stream and stops at each
// active data segment of one address. It is for one goroutine.
type Scanner struct {
	*walk
	offset uint32
	left   uint32 // segments not read yet of the data section that the walk is in
	inside bool   // in a data section
	body   int64  // payload that the caller reads before the next call
	err    error
}

// NewScanner returns a Scanner of the module in r for segments whose offset
// expression is i32.const offset. It takes no byte of r before it has to, so r
// should be buffered; where r is an io.ByteReader that method is used.
func NewScanner(r io.Reader, offset uint32) *Scanner {
	b, _ := r.(io.ByteReader)
	return &Scanner{walk: newWalk(&stream{r: r, b: b}, math.MaxInt64), offset: offset}
}

// Next goes to the next segment and returns the length n of its payload, which
// is the next n bytes of the reader. The caller reads all of them from there
// before calling Next again. At the end of the module Next returns io.EOF.
// Other errors are ErrModule or that of the reader, and stay.
func (s *Scanner) Next() (n int64, err error) {
	if s.err == nil {
		n, s.err = s.next()
	}
	if s.err != nil {
		return 0, s.err
	}
	return n, nil
}

// Offset returns how many bytes of the module come before what the reader
// gives next; after Next, before the payload.
func (s *Scanner) Offset() int64 { return s.at }

func (s *Scanner) next() (int64, error) {
	s.at += s.body
	s.body = 0
	for {
		for ; s.left > 0; s.left-- {
			g, err := s.segment()
			if err != nil {
				return 0, err
			}
			if g.standsAt(s.offset) {
				s.left--
				s.body = g.n
				return g.n, nil
			}
			if err := s.skip(g.n); err != nil {
				return 0, err
			}
		}
		if s.inside {
			if err := s.full(); err != nil {
				return 0, err
			}
			s.inside = false
		}
		c, err := s.section()
		if err != nil {
			return 0, err
		}
		if c.id != dataID {
			if err := s.pass(c); err != nil {
				return 0, err
			}
			continue
		}
		if s.left, err = s.segments(); err != nil {
			return 0, err
		}
		s.inside = true
	}
}
