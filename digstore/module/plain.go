package module

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/dig-network/digstore/digstore/urn"
)

// A Plain reads the plaintext of a Resource. It opens a chunk when one of its bytes
// is read, and keeps the two chunks that were used last. It need not be closed.
//
// ReadAt is safe for concurrent use; Read, Seek and WriteTo are not.
type Plain struct {
	r      *Resource
	k      *urn.Key
	starts []int64 // starts[i]: offset of chunk i
	at     int64   // offset of the next Read

	mu   sync.Mutex
	kept [2]opened // most recently used first
}

// opened is a chunk in plaintext; buf is nil when there is none.
type opened struct {
	chunk int
	buf   []byte
}

// Size returns the number of plaintext bytes.
func (p *Plain) Size() int64 { return p.starts[len(p.starts)-1] }

// Read reads the next bytes.
func (p *Plain) Read(b []byte) (int, error) {
	if p.at == 0 && p.Size() == 0 {
		// Empty content is one sealed chunk, which has to open too.
		if err := p.check(); err != nil {
			return 0, err
		}
	}
	n, err := p.ReadAt(b, p.at)
	p.at += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

// check opens all chunks of empty content.
func (p *Plain) check() error {
	for i := range p.r.chunks {
		if _, err := p.open(i, nil); err != nil {
			return err
		}
	}
	return nil
}

// Seek implements io.Seeker.
func (p *Plain) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += p.at
	case io.SeekEnd:
		offset += p.Size()
	default:
		return 0, errors.New("seek in resource: unknown whence")
	}
	if offset < 0 {
		return 0, errors.New("seek in resource: negative position")
	}
	p.at = offset
	return offset, nil
}

// ReadAt implements io.ReaderAt.
func (p *Plain) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("read resource: negative offset")
	}
	if off >= p.Size() {
		return 0, io.EOF
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	done := 0
	for i := p.chunkAt(off); done < len(b) && i < len(p.r.chunks); i++ {
		if p.starts[i] == p.starts[i+1] {
			continue
		}
		text, err := p.keep(i)
		if err != nil {
			return done, err
		}
		done += copy(b[done:], text[off+int64(done)-p.starts[i]:])
	}
	if done < len(b) {
		return done, io.EOF
	}
	return done, nil
}

// chunkAt returns the chunk that holds byte off of the plaintext.
func (p *Plain) chunkAt(off int64) int {
	i, ok := slices.BinarySearch(p.starts, off)
	if !ok {
		i--
	}
	for p.starts[i+1] == off { // skip empty chunks
		i++
	}
	return i
}

// keep returns the plaintext of a chunk. It opens the chunk unless it is kept, and
// replaces the least recently used one.
func (p *Plain) keep(i int) ([]byte, error) {
	for j, o := range p.kept {
		if o.buf != nil && o.chunk == i {
			p.kept[0], p.kept[j] = p.kept[j], p.kept[0]
			return o.buf, nil
		}
	}
	p.kept[0], p.kept[1] = p.kept[1], p.kept[0]
	text, err := p.open(i, p.kept[0].buf)
	if err != nil {
		p.kept[0].buf = nil
		return nil, err
	}
	p.kept[0] = opened{i, text}
	return text, nil
}

// open reads and opens a chunk, into buf if its capacity suffices.
func (p *Plain) open(i int, buf []byte) ([]byte, error) {
	// The length may come from an untrusted recipe, so the buffer grows with what
	// has been read.
	buf = buf[:0]
	for n := int(p.r.chunks[i].Len); len(buf) < n; {
		at := len(buf)
		more := min(n-at, max(at, MaxChunk))
		buf = slices.Grow(buf, more)[:at+more]
		if err := p.r.readChunk(i, buf[at:], int64(at)); err != nil {
			return nil, err
		}
	}
	text, err := p.k.Open(buf[:0], buf)
	if err != nil {
		return nil, fmt.Errorf("open resource %v, chunk %d of %d: %w", p.r.key, i, len(p.r.chunks), err)
	}
	return text, nil
}

// WriteTo implements io.WriterTo. It writes from the offset of the next Read on.
func (p *Plain) WriteTo(w io.Writer) (int64, error) {
	if p.Size() == 0 {
		return 0, p.check()
	}
	var done int64
	var buf []byte
	for p.at < p.Size() {
		i := p.chunkAt(p.at)
		text, err := p.open(i, buf)
		if err != nil {
			return done, err
		}
		n, err := w.Write(text[p.at-p.starts[i]:])
		done += int64(n)
		p.at += int64(n)
		if err != nil {
			return done, err
		}
		buf = text
	}
	return done, nil
}
