package cdc

import (
	"fmt"
	"io"
)

// firstBuffer is the size of a Reader's buffer until a chunk does not fit.
const firstBuffer = 2 * DefaultMax

// A Reader cuts a stream into chunks. It is for one goroutine. It holds 512 KiB;
// with a Max above 256 KiB that grows with the chunks found, to at most four
// times the longest or what the stream has.
type Reader struct {
	src  io.Reader
	rule rule
	buf  []byte
	from int   // the current chunk begins here in buf
	to   int   // the bytes read end here
	seen int   // so many places of the current chunk hold no cut
	err  error // of src, once; io.EOF at its end
}

// NewReader returns a Reader of the chunks of r. It reads ahead of the chunks
// that it has given, and starts with the first call of Next.
func NewReader(r io.Reader, p Params) *Reader {
	return &Reader{src: r, rule: p.rule()}
}

// Reset makes the Reader cut another stream, with the same Params and buffer.
func (c *Reader) Reset(r io.Reader) {
	c.src, c.from, c.to, c.seen, c.err = r, 0, 0, 0, nil
}

// Next returns the next chunk, which is valid until the next call. After the
// last one the error is io.EOF. An error of the stream is returned instead of
// the chunk it came in, and stays.
func (c *Reader) Next() ([]byte, error) {
	for {
		if c.err != nil && c.err != io.EOF {
			return nil, fmt.Errorf("read to find chunks: %w", c.err)
		}
		data := c.buf[c.from:c.to]
		n, none := c.rule.next(data, c.seen, c.err == io.EOF)
		if n > 0 {
			c.from += n
			c.seen = 0
			return data[:n:n], nil
		}
		if c.err == io.EOF {
			return nil, io.EOF
		}
		c.seen = none
		c.fill()
	}
}

// fill reads more of the stream, at least a byte unless it fails or ends.
func (c *Reader) fill() {
	if c.to == len(c.buf) {
		buf := c.buf
		if held := c.to - c.from; 2*held > len(buf) || len(buf) == 0 {
			buf = make([]byte, max(firstBuffer, 2*len(buf)))
		}
		c.to = copy(buf, c.buf[c.from:c.to])
		c.from, c.buf = 0, buf
	}
	for range 100 {
		n, err := c.src.Read(c.buf[c.to:])
		if n < 0 || n > len(c.buf)-c.to {
			c.err = fmt.Errorf("reader returned a count of %d for %d bytes", n, len(c.buf)-c.to)
			return
		}
		c.to += n
		c.err = err
		if n > 0 || err != nil {
			return
		}
	}
	c.err = io.ErrNoProgress
}
