package module

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/dig-network/digstore/digstore/urn"
)

// A Plain reads the plaintext of a Resource. It opens a chunk when a byte of it
// is wanted, and keeps the two that were opened last. Nothing has to be closed.
//
// ReadAt may be called from several goroutines at once; Read, Seek and WriteTo
// belong to one.
type Plain struct {
	r      *Resource
	k      *urn.Key
	starts []int64 // starts[i]: where chunk i begins
	at     int64   // of Read

	mu   sync.Mutex
	kept [2]opened // the one used last first
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
		// Empty content is one sealed chunk too, and may be the wrong one.
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

// check opens all chunks of content that has no bytes.
func (p *Plain) check() error {
	for i := range p.r.chunks {
		if _, err := p.open(i, nil); err != nil {
			return err
		}
	}
	return nil
}

// Seek sets where the next Read begins, as io.Seeker says.
func (p *Plain) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += p.at
	case io.SeekEnd:
		offset += p.Size()
	default:
		return 0, errors.New("seek in resource: bad whence")
	}
	if offset < 0 {
		return 0, errors.New("seek in resource: negative position")
	}
	p.at = offset
	return offset, nil
}

// ReadAt is io.ReaderAt.
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

// chunkAt returns the chunk that holds byte off, which is inside.
func (p *Plain) chunkAt(off int64) int {
	i, ok := slices.BinarySearch(p.starts, off)
	if !ok {
		i--
	}
	for p.starts[i+1] == off { // pass over chunks without content
		i++
	}
	return i
}

// keep returns the plaintext of a chunk from what is kept, or opens it in the
// place of the one that was used longest ago.
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

// open reads and opens a chunk, into buf if it has room.
func (p *Plain) open(i int, buf []byte) ([]byte, error) {
	// The length may come from a recipe of anybody's: there is room for a long
	// chunk only as far as it has been read.
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

// WriteTo writes everything from where the next Read would begin.
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
