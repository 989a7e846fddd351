package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// ErrValue is wrapped by errors about values that are not allowed: an option tag or
// bool other than 0 and 1, a String that is not UTF-8, a count of more items than
// fit, bytes after the end. Missing bytes are io.ErrUnexpectedEOF.
var ErrValue = errors.New("value not allowed")

// An Error reports where decoding failed, and why.
type Error struct {
	Offset int   // of the first byte of the field, from the start of the input
	Err    error // wraps ErrValue or io.ErrUnexpectedEOF, or is the one given to Fail
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("decode at byte %d: %v", e.Offset, e.Err) }

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// A Reader decodes values from a slice in order. After the first error, which it
// keeps, it reads nothing. It is not safe for concurrent use.
type Reader struct {
	b   []byte
	at  int // offset of the next byte
	err error
}

// NewReader returns a Reader of b, which must not change while it is read.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

// take returns the next n bytes, or nil after recording that they are missing.
func (r *Reader) take(n int) []byte {
	if r.err != nil {
		return nil
	}
	if n < 0 || n > len(r.b)-r.at {
		left := len(r.b) - r.at
		r.failAt(r.at, fmt.Errorf("%w: want %d bytes, found %d", io.ErrUnexpectedEOF, n, left))
		return nil
	}
	p := r.b[r.at : r.at+n : r.at+n]
	r.at += n
	return p
}

func (r *Reader) failAt(offset int, err error) {
	if r.err == nil {
		r.err = &Error{Offset: offset, Err: err}
	}
}

// Fail records err at the current offset, unless there is an error. Callers use it for
// values that their structures do not allow.
func (r *Reader) Fail(err error) { r.failAt(r.at, err) }

// U8 reads one byte.
func (r *Reader) U8() uint8 {
	if p := r.take(1); p != nil {
		return p[0]
	}
	return 0
}

// U16 reads 2 bytes, big-endian.
func (r *Reader) U16() uint16 {
	if p := r.take(2); p != nil {
		return binary.BigEndian.Uint16(p)
	}
	return 0
}

// U32 reads 4 bytes, big-endian.
func (r *Reader) U32() uint32 {
	if p := r.take(4); p != nil {
		return binary.BigEndian.Uint32(p)
	}
	return 0
}

// U64 reads 8 bytes, big-endian.
func (r *Reader) U64() uint64 {
	if p := r.take(8); p != nil {
		return binary.BigEndian.Uint64(p)
	}
	return 0
}

// Fixed reads len(dst) raw bytes into dst. On an error dst is not changed.
func (r *Reader) Fixed(dst []byte) { copy(dst, r.take(len(dst))) }

// Bytes reads a u32 length and that many bytes. The result aliases the input.
func (r *Reader) Bytes() []byte {
	start := r.at
	n := r.U32()
	if r.err != nil {
		return nil
	}
	if uint64(n) > uint64(len(r.b)-r.at) {
		left := len(r.b) - r.at
		r.failAt(start, fmt.Errorf("%w: length %d, found %d bytes", io.ErrUnexpectedEOF, n, left))
		return nil
	}
	return r.take(int(n))
}

// String reads a u32 length and that many bytes of UTF-8.
func (r *Reader) String() string {
	start := r.at
	p := r.Bytes()
	if !utf8.Valid(p) {
		r.failAt(start, fmt.Errorf("%w: string of %d bytes is not UTF-8", ErrValue, len(p)))
		return ""
	}
	return string(p)
}

// Count reads the u32 count of a Vec whose items take minItem bytes or more each, at
// least 1. A count of more items than fit into the rest of the input is an error.
func (r *Reader) Count(minItem int) int {
	start := r.at
	n := r.U32()
	if fit := (len(r.b) - r.at) / max(minItem, 1); r.err == nil && uint64(n) > uint64(fit) {
		r.failAt(start, fmt.Errorf("%w: count %d, want at most %d", ErrValue, n, fit))
	}
	if r.err != nil {
		return 0
	}
	return int(n)
}

// Bool reads one byte that must be 0 or 1.
func (r *Reader) Bool() bool {
	start := r.at
	b := r.U8()
	if b > 1 {
		r.failAt(start, fmt.Errorf("%w: byte %#02x, want 0 or 1", ErrValue, b))
	}
	return b == 1
}

// Option reads the tag of an Option and reports whether a value follows.
func (r *Reader) Option() bool { return r.Bool() }

// Rest reads the rest of the input. The result aliases the input.
func (r *Reader) Rest() []byte { return r.take(r.Len()) }

// Len returns the number of bytes that are left; 0 after an error.
func (r *Reader) Len() int {
	if r.err != nil {
		return 0
	}
	return len(r.b) - r.at
}

// Offset returns the number of bytes that have been read.
func (r *Reader) Offset() int { return r.at }

// Err returns the first error, an *Error, or nil. Bytes that are left are not an error.
func (r *Reader) Err() error { return r.err }

// Done is Err, but bytes that are left are an error.
func (r *Reader) Done() error {
	if n := r.Len(); n > 0 {
		r.Fail(fmt.Errorf("%w: %d bytes follow the end", ErrValue, n))
	}
	return r.err
}
