package wasm

import (
	"io"
	"math"
)

var preamble = [8]byte{0, 'a', 's', 'm', 1, 0, 0, 0}

// Section ids that mean something here.
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

// order has the place of each section by its id. A module has at most one of each, in this
// order; custom sections (place 0) and those of unknown ids stand anywhere.
var order = [...]int{1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 13: 6, 6: 7, 7: 8, 8: 9, 9: 10, 12: 11, 10: 12, 11: 13}

const (
	maxName      = 100_000   // bytes of a name
	maxFunctions = 1_000_000 // bodies in the code section
)

// A walk goes through a module from front to end: section by section and, in
// a data section, segment by segment.
type walk struct {
	cursor
	size    int64 // of the module; math.MaxInt64: unknown
	started bool

	place     int    // of the last section that has one, in order
	last      byte   // its id
	functions uint32 // that were declared and have no body yet
	segsWant  uint32 // segments that the data count section announced...
	segsKnown bool   // ...when there is one whose data section has not come
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
		return section{}, malformed(w.at, "section with id %#02x", id)
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
		return section{}, malformed(w.at, "section %d of %d bytes runs past the end: %w", id, n, io.ErrUnexpectedEOF)
	}
	w.limit = w.at + int64(n)
	return section{id: id, start: w.at, n: int64(n)}, nil
}

// end returns io.EOF, the end of a module that lacks nothing that it announced.
func (w *walk) end() error {
	if w.functions > 0 {
		return malformed(w.at, "%d functions without a code section: %w", w.functions, io.ErrUnexpectedEOF)
	}
	if w.segsKnown && w.segsWant > 0 {
		return malformed(w.at, "no data section for %d announced segments: %w", w.segsWant, io.ErrUnexpectedEOF)
	}
	return io.EOF
}

// pass steps over the body of a section that is not the data section, and checks as much of it
// as the reference's reader does: names are UTF-8, lists begin with a count, there are as many
// bodies as functions.
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

// bodies steps over the code section.
func (w *walk) bodies() error {
	start := w.at
	n, err := w.u32()
	if err != nil {
		return err
	}
	if n > maxFunctions || n != w.functions {
		return malformed(start, "%d function bodies for %d functions, at most %d are allowed", n, w.functions, maxFunctions)
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

// full checks that the section ends here.
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
		return 0, malformed(start, "count of %d data segments, at most %d fit", n, fit)
	}
	if w.segsKnown && n != w.segsWant {
		return 0, malformed(start, "%d data segments, announced were %d", n, w.segsWant)
	}
	w.segsKnown = false
	return n, nil
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

// constant reads a constant expression of one instruction to its end. Its value is known when
// it is an i32.const. Of an expression of several, which WebAssembly allows, readers take
// either the first instruction or the sum for the address, so there must not be one.
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
		err = malformed(at, "constant expression goes on with opcode %#02x, wanted its end", end)
	}
	return v, known, err
}
