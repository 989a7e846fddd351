package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// ErrTooLong is wrapped by errors about a length or count above 2^32 - 1.
var ErrTooLong = errors.New("longer than 2^32-1")

// A Writer appends values to a slice. After the first error, which it keeps, it appends
// nothing. It is not safe for concurrent use.
type Writer struct {
	b   []byte
	err error
}

// NewWriter returns a Writer that appends to dst, which may be nil.
func NewWriter(dst []byte) *Writer { return &Writer{b: dst} }

// Fail records err, unless there is an error. Callers use it for values that their
// structures do not allow.
func (w *Writer) Fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// U8 appends one byte.
func (w *Writer) U8(v uint8) {
	if w.err == nil {
		w.b = append(w.b, v)
	}
}

// U16 appends 2 bytes, big-endian.
func (w *Writer) U16(v uint16) {
	if w.err == nil {
		w.b = AppendU16(w.b, v)
	}
}

// U32 appends 4 bytes, big-endian.
func (w *Writer) U32(v uint32) {
	if w.err == nil {
		w.b = AppendU32(w.b, v)
	}
}

// U64 appends 8 bytes, big-endian.
func (w *Writer) U64(v uint64) {
	if w.err == nil {
		w.b = AppendU64(w.b, v)
	}
}

// Fixed appends b without a length.
func (w *Writer) Fixed(b []byte) {
	if w.err == nil {
		w.b = append(w.b, b...)
	}
}

// Bytes appends a u32 length and b.
func (w *Writer) Bytes(b []byte) {
	w.Count(len(b))
	w.Fixed(b)
}

// String appends a u32 length in bytes and s, which must be UTF-8.
func (w *Writer) String(s string) {
	if !utf8.ValidString(s) {
		w.Fail(fmt.Errorf("encode string of %d bytes: %w: not UTF-8", len(s), ErrValue))
	}
	w.Count(len(s))
	if w.err == nil {
		w.b = append(w.b, s...)
	}
}

// Count appends the u32 count of a Vec, or the length of what follows.
func (w *Writer) Count(n int) {
	if n < 0 || uint64(n) > math.MaxUint32 {
		w.Fail(fmt.Errorf("encode count or length of %d: %w", n, ErrTooLong))
	}
	w.U32(uint32(n))
}

// Bool appends 1 or 0.
func (w *Writer) Bool(v bool) {
	if v {
		w.U8(1)
	} else {
		w.U8(0)
	}
}

// Option appends the tag of an Option. The caller appends the value if there is one.
func (w *Writer) Option(present bool) { w.Bool(present) }

// Len returns the length of the slice that Done returns.
func (w *Writer) Len() int { return len(w.b) }

// Done returns dst with the appended values, or the first error.
func (w *Writer) Done() ([]byte, error) {
	if w.err != nil {
		return nil, w.err
	}
	return w.b, nil
}

// AppendU16 appends v, big-endian.
func AppendU16(dst []byte, v uint16) []byte { return binary.BigEndian.AppendUint16(dst, v) }

// AppendU32 appends v, big-endian.
func AppendU32(dst []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(dst, v) }

// AppendU64 appends v, big-endian.
func AppendU64(dst []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(dst, v) }
