package cdc

import (
	"fmt"
	"io"
)

// firstBuffer is the initial size of the buffer of a Reader.
const firstBuffer = 2 * DefaultMax

// A Reader cuts a stream into chunks. It is not safe for concurrent use. Its buffer has
// 512 KiB. With a Max above 256 KiB it grows to at most four times the longest chunk.
type Reader struct {
	src  io.Reader
	rule rule
	buf  []byte
	from int   // where the current chunk begins in buf
	to   int   // where the bytes that were read end
	seen int   // number of offsets of the current chunk that are no cuts
	err  error // of src; io.EOF at its end
}

// NewReader returns a Reader of the chunks of r. It reads ahead, from the first call of
// Next on.
func NewReader(r io.Reader, p Params) *Reader {
	return &Reader{src: r, rule: p.rule()}
}

// Reset makes the Reader cut another stream, with the same Params and buffer.
func (c *Reader) Reset(r io.Reader) {
	c.src, c.from, c.to, c.seen, c.err = r, 0, 0, 0, nil
}

// Next returns the next chunk, which is valid until the next call. After the last chunk
// the error is io.EOF. An error of the stream is returned in place of the chunk in
// which it occurred, and by all further calls.
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

// fill reads at least one byte of the stream, unless it fails or ends.
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
