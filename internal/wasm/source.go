package wasm

import (
	"fmt"
	"io"
	"math"
)

// A source reads a module from front to end.
type source interface {
	io.ByteReader
	skip(n int64) error // skips n bytes, n >= 0; io.EOF if there are fewer
}

// A file is a source of known size that reads headers and skips bodies.
type file struct {
	r    io.ReaderAt
	at   int64 // of the next byte
	size int64
	buf  [256]byte
	have []byte // the part of buf that is not read yet
	end  int64  // offset of the end of have
}

func (f *file) ReadByte() (byte, error) {
	if f.at >= f.size {
		return 0, io.EOF
	}
	if len(f.have) == 0 {
		n := int(min(int64(len(f.buf)), f.size-f.at))
		m, err := f.r.ReadAt(f.buf[:n], f.at)
		if m == 0 {
			if err == nil {
				err = io.ErrNoProgress
			}
			return 0, err
		}
		f.have, f.end = f.buf[:m], f.at+int64(m)
	}
	b := f.have[0]
	f.have = f.have[1:]
	f.at++
	return b, nil
}

func (f *file) skip(n int64) error {
	if n > f.size-f.at {
		return io.EOF
	}
	f.at += n
	if rest := f.end - f.at; rest > 0 && rest <= int64(len(f.have)) {
		f.have = f.have[int64(len(f.have))-rest:]
	} else {
		f.have = nil
	}
	return nil
}

// A stream is a source that does not read ahead.
type stream struct {
	r io.Reader
	b io.ByteReader // r, if it is one
	p [1]byte
}

func (s *stream) ReadByte() (byte, error) {
	if s.b != nil {
		return s.b.ReadByte()
	}
	_, err := io.ReadFull(s.r, s.p[:])
	return s.p[0], err
}

func (s *stream) skip(n int64) error {
	_, err := io.CopyN(io.Discard, s.r, n)
	return err
}

// A cursor counts the bytes that are read from a source, and does not read past a limit.
type cursor struct {
	src   source
	at    int64 // of the next byte
	limit int64 // offset of the end; math.MaxInt64: unknown
}

// byte reads one byte. The end of the section or of the source is ErrModule.
func (c *cursor) byte() (byte, error) {
	if c.at >= c.limit {
		return 0, malformed(c.at, "end of the section: %w", io.ErrUnexpectedEOF)
	}
	b, err := c.src.ReadByte()
	if err != nil {
		return 0, c.broken(err)
	}
	c.at++
	return b, nil
}

// skip passes over n bytes.
func (c *cursor) skip(n int64) error {
	if n > c.limit-c.at {
		return malformed(c.at, "%d bytes end behind the section: %w", n, io.ErrUnexpectedEOF)
	}
	if err := c.src.skip(n); err != nil {
		return c.broken(err)
	}
	c.at += n
	return nil
}

// broken returns ErrModule for the end of the input; other errors of the source are
// wrapped.
func (c *cursor) broken(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return malformed(c.at, "end of the module: %w", io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("read WebAssembly module at byte %d: %w", c.at, err)
}

// u32 reads an unsigned LEB128 of 32 bits.
func (c *cursor) u32() (uint32, error) {
	start := c.at
	var v uint64
	for shift := 0; shift < 35; shift += 7 {
		b, err := c.byte()
		if err != nil {
			return 0, err
		}
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			if v > math.MaxUint32 {
				break
			}
			return uint32(v), nil
		}
	}
	return 0, malformed(start, "number of more than 32 bits")
}

// signed reads a signed LEB128 of 32, 33 or 64 bits.
func (c *cursor) signed(bits int) (int64, error) {
	start := c.at
	var v int64
	for shift := 0; shift < bits; shift += 7 {
		b, err := c.byte()
		if err != nil {
			return 0, err
		}
		v |= int64(b&0x7f) << shift
		if b >= 0x80 {
			continue
		}
		if left := bits - shift; left < 7 {
			// The last byte has left bits of the number; the others repeat the sign.
			if sign := int8(b<<1) >> left; sign != 0 && sign != -1 {
				break
			}
		}
		if used := shift + 7; used < 64 {
			v = v << (64 - used) >> (64 - used)
		}
		return v, nil
	}
	return 0, malformed(start, "number of more than %d bits", bits)
}

// appendU32 appends the shortest LEB128 of v.
func appendU32(b []byte, v uint32) []byte {
	for ; v >= 0x80; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}

// appendI32 appends the shortest signed LEB128 of v.
func appendI32(b []byte, v int32) []byte {
	for v < -0x40 || v >= 0x40 {
		b = append(b, byte(v)&0x7f|0x80)
		v >>= 7
	}
	return append(b, byte(v)&0x7f)
}
