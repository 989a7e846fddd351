package wasm

import (
	"io"
	"math"
)

var preamble = [8]byte{0, 'a', 's', 'm', 1, 0, 0, 0}

// Section ids that mean something here.
const (
	importID    = 2
	memoryID    = 5
	exportID    = 7
	dataID      = 11
	dataCountID = 12
)

// A walk goes through a module from front to end: section by section and, in
// a data section, segment by segment.
type walk struct {
	cursor
	size    int64 // of the module; math.MaxInt64: unknown
	started bool
}

func newWalk(src source, size int64) *walk {
	return &walk{cursor: cursor{src: src, limit: size}, size: size}
}

// A section is one section's place: its body is n bytes from start on.
type section struct {
	id    byte
	start int64
	n     int64
}

// section reads the header of the next section, whose end becomes the limit.
// The cursor must be where the last one ended. At the end of the module it
// returns io.EOF.
func (w *walk) section() (section, error) {
	w.limit = w.size
	if !w.started {
		for i, want := range preamble {
			b, err := w.byte()
			if err != nil {
				return section{}, err
			}
			if b != want {
				return section{}, malformed(int64(i), "preamble has %#02x, wanted %#02x", b, want)
			}
		}
		w.started = true
	}
	if w.at == w.size {
		return section{}, io.EOF
	}
	id, err := w.src.ReadByte()
	if err == io.EOF && w.size == math.MaxInt64 {
		return section{}, io.EOF
	}
	if err != nil {
		return section{}, w.broken(err)
	}
	w.at++
	n, err := w.u32()
	if err != nil {
		return section{}, err
	}
	if int64(n) > w.limit-w.at {
		return section{}, malformed(w.at, "section %d of %d bytes runs past the end: %w", id, n, io.ErrUnexpectedEOF)
	}
	w.limit = w.at + int64(n)
	return section{id: id, start: w.at, n: int64(n)}, nil
}

// segments reads the count at the start of a data section.
func (w *walk) segments() (uint32, error) {
	start := w.at
	n, err := w.u32()
	if err != nil {
		return 0, err
	}
	if fit := (w.limit - w.at) / 2; int64(n) > fit {
		return 0, malformed(start, "count of %d data segments, at most %d fit", n, fit)
	}
	return n, nil
}

// close checks that the segments filled their section.
func (w *walk) close() error {
	if w.at < w.limit {
		return malformed(w.at, "%d bytes follow the last data segment", w.limit-w.at)
	}
	return nil
}

// A segment is the header of a data segment; the payload comes next.
type segment struct {
	active  bool
	memory  uint32
	address int32 // of an active one, when...
	known   bool  // ...its expression is a single i32.const
	from    int64 // the expression, with its end, is from here...
	to      int64 // ...to here
	n       int64 // bytes of payload
}

// standsAt reports whether the payload is put at that address.
func (s segment) standsAt(offset uint32) bool {
	return s.active && s.known && uint32(s.address) == offset
}

// segment reads the header of the next segment up to its payload.
func (w *walk) segment() (segment, error) {
	start := w.at
	var s segment
	flag, err := w.u32()
	if err != nil {
		return s, err
	}
	switch flag {
	case 0, 2:
		s.active = true
		if flag == 2 {
			if s.memory, err = w.u32(); err != nil {
				return s, err
			}
		}
		s.from = w.at
		if s.address, s.known, err = w.constant(); err != nil {
			return s, err
		}
		s.to = w.at
	case 1:
	default:
		return s, malformed(start, "data segment of unknown kind %d", flag)
	}
	n, err := w.u32()
	if err != nil {
		return s, err
	}
	if s.n = int64(n); s.n > w.limit-w.at {
		return s, malformed(w.at, "data segment of %d bytes runs past the end of its section: %w", n, io.ErrUnexpectedEOF)
	}
	return s, nil
}

// constant reads a constant expression to its end. Its value is known when it
// is a single i32.const; any other is stepped over.
func (w *walk) constant() (v int32, known bool, err error) {
	for count := 0; ; count++ {
		at := w.at
		op, err := w.byte()
		if err != nil {
			return 0, false, err
		}
		switch op {
		case 0x0b: // end
			return v, known && count == 1, nil
		case 0x41: // i32.const
			var n int64
			n, err = w.signed(32)
			v, known = int32(n), true
		case 0x42: // i64.const
			_, err = w.signed(64)
		case 0x43: // f32.const
			err = w.skip(4)
		case 0x44: // f64.const
			err = w.skip(8)
		case 0x23, 0xd2: // global.get, ref.func
			_, err = w.u32()
		case 0xd0: // ref.null
			_, err = w.signed(33)
		case 0x6a, 0x6b, 0x6c, 0x7c, 0x7d, 0x7e: // add, sub, mul of i32 and i64
		default:
			return 0, false, malformed(at, "constant expression with opcode %#02x", op)
		}
		if err != nil {
			return 0, false, err
		}
	}
}
