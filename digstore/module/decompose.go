package module

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/dig-network/digstore/internal/wasm"
)

const (
	maxPlain   = 1 << 20   // plain bytes in a recipe before long runs are passed to put
	spillSize  = 256 << 10 // bytes of such a run that are passed at once
	minSpill   = 512       // shorter runs stay in the recipe
	maxKept    = 8 << 20   // plain bytes in a recipe
	maxCapture = 24 << 20  // bytes of a key table or of leaves that become columns
	maxParts   = 16 << 10  // parts; what follows becomes plain bytes
	maxPieces  = 1 << 20   // chunks; what follows becomes plain bytes
	fillerUnit = 4096      // filler is compared in units of so many bytes
)

// Decompose reads a module to its end and splits it into a Recipe and its chunks. It
// calls put for each distinct chunk once, with its id, in the order of the pool. The
// sealed bytes may not be used after put returns. The Recipe reproduces the module bit
// for bit, whoever wrote it: bytes that are neither a chunk of a well-formed pool nor
// the filler of FORMAT.md 6.3 are kept in it. Of a module with more than 1 MiB of such
// bytes, long runs are passed to put too, under their own ids; Pool lists them like
// chunks.
//
// Decompose accepts what Open accepts, unless the headers exceed 8 MiB. It does not
// verify: see Module.Verify, which does not read again what was hashed here. Errors
// match ErrFormat when the module is malformed; errors of r, put and ctx are wrapped.
// Put may have been called when an error is returned.
//
// It needs less than 16 MiB of memory besides the Recipe. Put is called from one
// goroutine while r is read, and has returned when Decompose returns.
func Decompose(ctx context.Context, r io.Reader,
	put func(c Chunk, sealed []byte) error) (*Recipe, error) {
	t := &decomposer{ctx: ctx, r: bufio.NewReaderSize(r, 64<<10), pipe: newPipeline(put)}
	defer t.pipe.close()
	if err := t.modules(); err != nil {
		return nil, err
	}
	t.flush()
	t.pipe.close()
	if t.pipe.err != nil {
		return nil, fmt.Errorf("decompose module: %w", t.pipe.err)
	}
	return t.finish()
}

// A decomposer is the state of one call of Decompose.
type decomposer struct {
	ctx  context.Context
	r    *bufio.Reader
	pipe *pipeline

	done  []event // parts of the module so far
	kept  int     // plain bytes in them
	run   []byte  // plain bytes after them that stay in the recipe
	bulk  []byte  // plain bytes after run that may be passed to put
	fill  []ID
	parts int

	last *blob // the last blob so far
}

// An event is a part whose chunks have no index in the recipe yet.
type event struct {
	kind  partKind
	plain []byte // also of a table and of leaves
	n     int64  // filler: bytes
	a     int64  // frames, bodies: index of the first in the stream; filler: offset in the key stream
	b     int64  // frames: count; filler: index of the key stream
}

// modules walks the WebAssembly module.
func (t *decomposer) modules() error {
	s := wasm.NewScanner((*tape)(t), blobOffset)
	for {
		n, err := s.Next()
		switch {
		case err == io.EOF:
			return nil
		case errors.Is(err, wasm.ErrModule):
			return &FormatError{Fault: NotWasm, Offset: s.Offset(), Err: err}
		case err != nil:
			return fmt.Errorf("decompose module: %w", err)
		}
		if err := t.segment(n); err != nil {
			return err
		}
	}
}

// A tape is the reader of the Scanner: single bytes are headers, which are kept; Read
// passes over other bytes.
type tape decomposer

func (t *tape) ReadByte() (byte, error) {
	c, err := t.r.ReadByte()
	if err == nil {
		if len(t.run)+t.kept > maxKept {
			return 0, fmt.Errorf("%w: more than %d bytes of headers", ErrFormat, maxKept)
		}
		(*decomposer)(t).settle()
		t.run = append(t.run, c)
	}
	return c, err
}

func (t *tape) Read(p []byte) (int, error) {
	if err := t.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := t.r.Read(p)
	(*decomposer)(t).pass(p[:n])
	return n, err
}

// event appends an event, or extends the last one if e continues it.
func (t *decomposer) event(e event) {
	if last := len(t.done) - 1; last >= 0 && t.done[last].kind == e.kind {
		p := &t.done[last]
		switch {
		case e.kind == partFrames && p.a+p.b == e.a:
			p.b += e.b
			return
		case e.kind == partFiller && p.b == e.b && p.a+p.n == e.a:
			p.n += e.n
			return
		}
	}
	t.parts++
	t.done = append(t.done, e)
}

// cut returns a FormatError for a module that ends too early, else the error of the
// reader.
func (t *decomposer) cut(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = fmt.Errorf("module is truncated: %w", io.ErrUnexpectedEOF)
		return &FormatError{Fault: NotWasm, Offset: -1, Err: err}
	}
	return fmt.Errorf("decompose module: %w", err)
}

func (t *decomposer) readNext(p []byte) error {
	if _, err := io.ReadFull(t.r, p); err != nil {
		return t.cut(err)
	}
	return nil
}

// keepNext reads a header and keeps it in the recipe.
func (t *decomposer) keepNext(n int64) ([]byte, error) {
	p := make([]byte, n)
	if err := t.readNext(p); err != nil {
		return nil, err
	}
	t.keep(p)
	return p, nil
}

// passNext reads plain bytes.
func (t *decomposer) passNext(n int64) error {
	for buf := make([]byte, min(n, 32<<10)); n > 0; {
		if err := t.ctx.Err(); err != nil {
			return fmt.Errorf("decompose module: %w", err)
		}
		k := min(n, int64(len(buf)))
		if err := t.readNext(buf[:k]); err != nil {
			return err
		}
		t.pass(buf[:k])
		n -= k
	}
	return nil
}
