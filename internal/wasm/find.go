package wasm

import (
	"fmt"
	"io"
	"math"
)

// Find returns the place of the payload of the last matching data segment: n bytes from
// offset at on. The module is the first size bytes of r. A segment matches if it is
// active, its expression is i32.const offset, and match returns true for its payload.
// Find checks all sections (see the package comment). Of payloads it reads what match
// reads.
//
// The error is ErrModule, ErrNoSegment or that of r. match has no error result; it has to
// keep an error of its reader for the caller.
func Find(r io.ReaderAt, size int64, offset uint32,
	match func(payload io.ReaderAt, n int64) bool) (at, n int64, err error) {
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

// A Scanner reads a module as a stream and stops at each active data segment of one
// address. It is not safe for concurrent use.
type Scanner struct {
	*walk
	offset uint32
	left   uint32 // segments that are left of the present data section
	inside bool   // in a data section
	body   int64  // bytes of payload that the caller reads before the next call
	err    error
}

// NewScanner returns a Scanner of the module in r for segments whose expression is
// i32.const offset. It does not read ahead, so r should be buffered; it uses
// io.ByteReader if r implements it.
func NewScanner(r io.Reader, offset uint32) *Scanner {
	b, _ := r.(io.ByteReader)
	return &Scanner{walk: newWalk(&stream{r: r, b: b}, math.MaxInt64), offset: offset}
}

// Next skips to the next segment and returns the length n of its payload. The payload is
// the next n bytes of the reader; the caller reads all of them before the next call. At
// the end of the module Next returns io.EOF. Other errors are ErrModule or those of the
// reader, and are returned by all further calls.
func (s *Scanner) Next() (n int64, err error) {
	if s.err == nil {
		n, s.err = s.next()
	}
	if s.err != nil {
		return 0, s.err
	}
	return n, nil
}

// Offset returns the offset of the next byte of the reader in the module; after Next,
// that of the payload.
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
