package wasm

import (
	"io"
	"math"
)

var preamble = [8]byte{0, 'a', 's', 'm', 1, 0, 0, 0}

// Ids of sections that are parsed.
const (
	customID    = 0
	importID    = 2
	functionID  = 3
	memoryID    = 5
	exportID    = 7
	startID     = 8
	codeID      = 10
	dataID      = 11
	dataCountID = 12
)

// order has the rank of each section by its id. A module has at most one of each, in this
// order. Custom sections (rank 0) and sections with unknown ids may stand anywhere.
var order = [...]int{
	1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 13: 6, 6: 7, 7: 8, 8: 9, 9: 10, 12: 11, 10: 12, 11: 13,
}

const (
	maxName      = 100_000   // bytes of a name
	maxFunctions = 1_000_000 // bodies in the code section
)

// A walk reads a module from front to end: section by section and, in a data section,
// segment by segment.
type walk struct {
	cursor
	size    int64 // of the module; math.MaxInt64: unknown
	started bool

	place     int    // rank of the last section with a rank
	last      byte   // its id
	functions uint32 // declared functions without a body yet
	segsWant  uint32 // segments that the data count section announced, if segsKnown
	segsKnown bool   // there is a data count section, and no data section yet
}

func newWalk(src source, size int64) *walk {
	return &walk{cursor: cursor{src: src, limit: size}, size: size}
}

// A section has a body of n bytes from offset start on.
type section struct {
	id    byte
	start int64
	n     int64
}

// section reads the header of the next section, whose end becomes the limit. The cursor
// must be at the end of the section before. At the end of the module section returns
// io.EOF.
func (w *walk) section() (section, error) {
	w.limit = w.size
	if !w.started {
		for i, want := range preamble {
			b, err := w.byte()
			if err != nil {
				return section{}, err
			}
			if b != want {
				return section{}, malformed(int64(i), "preamble: want %#02x, found %#02x", want, b)
			}
		}
		w.started = true
	}
	if w.at == w.size {
		return section{}, w.end()
	}
	id, err := w.src.ReadByte()
	if err == io.EOF && w.size == math.MaxInt64 {
		return section{}, w.end()
	}
	if err != nil {
		return section{}, w.broken(err)
	}
	if id >= 0x80 {
		return section{}, malformed(w.at, "section id %#02x, want less than 0x80", id)
	}
	if int(id) < len(order) && order[id] > 0 {
		if order[id] <= w.place {
			return section{}, malformed(w.at, "section %d after section %d", id, w.last)
		}
		w.place, w.last = order[id], id
	}
	w.at++
	n, err := w.u32()
	if err != nil {
		return section{}, err
	}
	if int64(n) > w.limit-w.at {
		return section{}, malformed(w.at, "section %d of %d bytes ends behind the module: %w",
			id, n, io.ErrUnexpectedEOF)
	}
	w.limit = w.at + int64(n)
	return section{id: id, start: w.at, n: int64(n)}, nil
}

// end returns io.EOF if all functions and segments that were announced have come.
func (w *walk) end() error {
	if w.functions > 0 {
		return malformed(w.at, "%d functions without a code section: %w",
			w.functions, io.ErrUnexpectedEOF)
	}
	if w.segsKnown && w.segsWant > 0 {
		return malformed(w.at, "no data section for %d announced segments: %w",
			w.segsWant, io.ErrUnexpectedEOF)
	}
	return io.EOF
}

// pass skips the body of a section other than the data section. It checks what the reference
// implementation checks: names are UTF-8, lists begin with a count, and the number of bodies
// is that of the functions.
func (w *walk) pass(c section) error {
	var err error
	switch c.id {
	case customID:
		_, err = w.name()
	case startID:
		if _, err = w.u32(); err == nil {
			err = w.full()
		}
	case dataCountID:
		w.segsKnown = true
		if w.segsWant, err = w.u32(); err == nil {
			err = w.full()
		}
	case functionID:
		w.functions, err = w.u32()
	case codeID:
		return w.bodies()
	default:
		if int(c.id) < len(order) {
			_, err = w.u32()
		}
	}
	if err != nil {
		return err
	}
	return w.skip(w.limit - w.at)
}

// bodies skips the code section.
func (w *walk) bodies() error {
	start := w.at
	n, err := w.u32()
	if err != nil {
		return err
	}
	if n > maxFunctions || n != w.functions {
		return malformed(start, "%d function bodies for %d functions, want at most %d",
			n, w.functions, maxFunctions)
	}
	w.functions = 0
	for range n {
		size, err := w.u32()
		if err != nil {
			return err
		}
		if err := w.skip(int64(size)); err != nil {
			return err
		}
	}
	return w.full()
}

// full returns an error unless the cursor is at the end of the section.
func (w *walk) full() error {
	if w.at < w.limit {
		return malformed(w.at, "%d bytes follow the last item of a section", w.limit-w.at)
	}
	return nil
}

// segments reads the count at the start of a data section.
func (w *walk) segments() (uint32, error) {
	start := w.at
	n, err := w.u32()
	if err != nil {
		return 0, err
	}
	if fit := (w.limit - w.at) / 2; int64(n) > fit {
		return 0, malformed(start, "%d data segments, want at most %d", n, fit)
	}
	if w.segsKnown && n != w.segsWant {
		return 0, malformed(start, "%d data segments, want %d as announced", n, w.segsWant)
	}
	w.segsKnown = false
	return n, nil
}

// A segment is the header of a data segment.
type segment struct {
	active  bool
	memory  uint32
	address int32 // of an active segment, if known
	known   bool  // the expression is an i32.const
	from    int64 // where the expression begins
	to      int64 // where it ends
	n       int64 // bytes of payload
}

// standsAt reports whether the payload has that address.
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
		return s, malformed(w.at, "data segment of %d bytes ends behind the section: %w",
			n, io.ErrUnexpectedEOF)
	}
	return s, nil
}

// constant reads a constant expression of one instruction. Its value is known if that is an
// i32.const. WebAssembly allows several instructions; readers disagree about their value, so
// they are refused.
func (w *walk) constant() (v int32, known bool, err error) {
	at := w.at
	op, err := w.byte()
	if err != nil {
		return 0, false, err
	}
	switch op {
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
	default:
		err = malformed(at, "constant expression with opcode %#02x", op)
	}
	if err != nil {
		return 0, false, err
	}
	at = w.at
	end, err := w.byte()
	if err == nil && end != 0x0b {
		err = malformed(at, "constant expression: want its end, found opcode %#02x", end)
	}
	return v, known, err
}
