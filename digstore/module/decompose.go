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
	maxPlain   = 1 << 20   // plain bytes that a recipe holds before long stretches go to put
	spillSize  = 256 << 10 // how long a stretch goes to put at once
	minSpill   = 512       // shorter ones stay in the recipe
	maxKept    = 8 << 20   // plain bytes that a recipe holds at all
	maxCapture = 24 << 20  // longest key table or leaves that are kept in columns
	maxParts   = 16 << 10  // parts after which the rest is taken as plain bytes
	maxPieces  = 1 << 20   // chunks after which the rest is taken as plain bytes
	fillerUnit = 4096      // filler is recognised in pieces of so many bytes
)

// Decompose reads a module to its end and splits it into a Recipe and its
// chunks, which go to put: each distinct one once, already hashed, in the order
// of the pool. The sealed bytes are put's only until it returns. The Recipe
// gives the module back bit for bit, whoever made it; whatever is not a chunk
// of a well-formed pool or the standard filler stays in it as plain bytes. Of
// a foreign module with much of that, more than 1 MiB, long stretches go to put
// as well, under their own ids; Pool lists them like chunks.
//
// It accepts what Open accepts, unless the headers alone take 8 MiB, and says
// nothing about the rest: see Module.Verify, which does not read again what
// was hashed here. Errors match ErrFormat when the module is at fault; those of
// r, of put and of ctx come wrapped. Put may have been called when an error
// comes.
//
// Memory stays below 16 MiB besides what the Recipe takes. Put runs beside the
// reading, in one goroutine, and has returned when Decompose does.
func Decompose(ctx context.Context, r io.Reader, put func(c Chunk, sealed []byte) error) (*Recipe, error) {
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

// A decomposer is one run of Decompose.
type decomposer struct {
	ctx  context.Context
	r    *bufio.Reader
	pipe *pipeline

	done  []event // what the module consists of so far
	kept  int     // plain bytes in it
	run   []byte  // plain bytes at the end that stay in the recipe
	bulk  []byte  // and after them, plain bytes that need not
	fill  []ID
	parts int

	last *blob // the blob that was found last
}

// An event is a part whose chunks have no place in the recipe yet.
type event struct {
	kind  partKind
	plain []byte // also of a table and of leaves
	n     int64  // filler: bytes
	a     int64  // frames and bodies: number of the first in the stream; filler: byte of the key stream
	b     int64  // frames: how many; filler: which key stream
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

// A tape is the decomposer as the Scanner reads it: single bytes are headers, longer
// stretches are passed over.
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

// event appends to the last event what continues it.
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

// cut tells a module that ends too early from a reader that fails.
func (t *decomposer) cut(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return &FormatError{Fault: NotWasm, Offset: -1, Err: fmt.Errorf("the module is cut: %w", io.ErrUnexpectedEOF)}
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
