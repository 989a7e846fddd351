package plot

import (
	"crypto/sha256"
	"hash"

	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// An output appends to a file through a buffer. Bytes that were appended can
// be overwritten.
type output struct {
	f     diskfs.File
	start int64 // offset in the file of buf
	buf   []byte
}

const outputBuffer = 1 << 20

func newOutput(f diskfs.File, at int64) *output {
	return &output{f: f, start: at, buf: make([]byte, 0, outputBuffer)}
}

// offset returns where the next byte goes.
func (o *output) offset() int64 { return o.start + int64(len(o.buf)) }

func (o *output) Write(b []byte) (int, error) {
	if len(o.buf)+len(b) > cap(o.buf) {
		if err := o.flush(); err != nil {
			return 0, err
		}
	}
	if len(b) >= cap(o.buf) {
		if _, err := o.f.WriteAt(b, o.start); err != nil {
			return 0, err
		}
		o.start += int64(len(b))
		return len(b), nil
	}
	o.buf = append(o.buf, b...)
	return len(b), nil
}

// zeros appends n zero bytes.
func (o *output) zeros(n int64) error {
	for n > 0 {
		k := min(n, pageSize)
		if _, err := o.Write(zeroPage[:k]); err != nil {
			return err
		}
		n -= k
	}
	return nil
}

// pad appends zeros up to a whole page.
func (o *output) pad() error {
	at := o.offset()
	return o.zeros(align(at) - at)
}

func (o *output) flush() error {
	if len(o.buf) == 0 {
		return nil
	}
	if _, err := o.f.WriteAt(o.buf, o.start); err != nil {
		return err
	}
	diskfs.StartWriteback(o.f, o.start, int64(len(o.buf)))
	o.start += int64(len(o.buf))
	o.buf = o.buf[:0]
	return nil
}

// patch overwrites bytes that were appended before.
func (o *output) patch(b []byte, at int64) error {
	if at >= o.start {
		copy(o.buf[at-o.start:], b)
		return nil
	}
	if at+int64(len(b)) > o.start {
		if err := o.flush(); err != nil {
			return err
		}
	}
	_, err := o.f.WriteAt(b, at)
	return err
}

// cut drops everything from offset at on.
func (o *output) cut(at int64) error {
	if at >= o.start {
		o.buf = o.buf[:at-o.start]
		return nil
	}
	o.buf = o.buf[:0]
	o.start = at
	return o.f.Truncate(at)
}

// A body appends the body of a table and hashes it.
type body struct {
	out   *output
	at    int64 // of the header page
	hash  hash.Hash
	bytes int64
}

// newBody leaves a page for the header of the table.
func newBody(out *output) (*body, error) {
	b := &body{out: out, at: out.offset(), hash: sha256.New()}
	return b, out.zeros(pageSize)
}

func (b *body) Write(p []byte) (int, error) {
	b.hash.Write(p)
	b.bytes += int64(len(p))
	return b.out.Write(p)
}

func (b *body) sum() (h merkle.Hash) {
	b.hash.Sum(h[:0])
	return h
}
