package module

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

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

// TakeApart reads a module to its end and splits it into a Recipe and its
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
// reading, in one goroutine, and has returned when TakeApart does.
func TakeApart(ctx context.Context, r io.Reader, put func(c Chunk, sealed []byte) error) (*Recipe, error) {
	t := &taker{ctx: ctx, r: bufio.NewReaderSize(r, 64<<10), pipe: newPipeline(put)}
	defer t.pipe.close()
	if err := t.modules(); err != nil {
		return nil, err
	}
	t.flush()
	t.pipe.close()
	if t.pipe.err != nil {
		return nil, fmt.Errorf("take module apart: %w", t.pipe.err)
	}
	return t.finish()
}

// A taker is one run of TakeApart.
type taker struct {
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

// A blob is what has to be known of a data section until the next one or the
// end comes.
type blob struct {
	id          ID
	table       int // its key table in done, -1: none
	leaves      int // its leaves in done, -1: none
	columns     *table
	totals      []uint64
	first, pool int64 // its pool's frames in the stream, pool -1: not whole
}

// modules walks the WebAssembly module.
func (t *taker) modules() error {
	s := wasm.NewScanner((*tape)(t), blobOffset)
	for {
		n, err := s.Next()
		switch {
		case err == io.EOF:
			return nil
		case errors.Is(err, wasm.ErrModule):
			return &FormatError{Fault: NotWasm, Offset: s.Offset(), Err: err}
		case err != nil:
			return fmt.Errorf("take module apart: %w", err)
		}
		if err := t.segment(n); err != nil {
			return err
		}
	}
}

// A tape is the taker as the Scanner reads it: single bytes are headers, longer
// stretches are passed over.
type tape taker

func (t *tape) ReadByte() (byte, error) {
	c, err := t.r.ReadByte()
	if err == nil {
		if len(t.run)+t.kept > maxKept {
			return 0, fmt.Errorf("%w: more than %d bytes of headers", ErrFormat, maxKept)
		}
		(*taker)(t).settle()
		t.run = append(t.run, c)
	}
	return c, err
}

func (t *tape) Read(p []byte) (int, error) {
	if err := t.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := t.r.Read(p)
	(*taker)(t).pass(p[:n])
	return n, err
}

// segment takes the payload of a data segment at the blob's address.
func (t *taker) segment(n int64) error {
	head, err := t.keepNext(min(n, blobHeader))
	if err != nil {
		return err
	}
	if n < int64(len(blobMagic)) || string(head[:len(blobMagic)]) != blobMagic {
		return t.passNext(n - int64(len(head)))
	}
	t.demote()
	if n < blobHeader || head[4] != 1 {
		return t.passNext(n - int64(len(head)))
	}
	count := int64(binary.BigEndian.Uint32(head[5:]))
	if count > (n-blobHeader)/blobRow {
		return t.passNext(n - blobHeader)
	}
	if count > 1<<16 {
		return &FormatError{Fault: BadBlob, Offset: -1, Err: fmt.Errorf("%d rows, at most %d are taken apart", count, 1<<16)}
	}
	rows, err := t.keepNext(blobRow * count)
	if err != nil {
		return err
	}
	b := &blob{table: -1, leaves: -1, pool: -1}
	pos := int64(blobHeader) + blobRow*count
	for _, s := range spans(rows, pos, n) {
		if err := t.passNext(s.off - pos); err != nil {
			return err
		}
		if err := t.section(b, s); err != nil {
			return err
		}
		pos = s.end()
	}
	t.last = b
	return t.passNext(n - pos)
}

// A span is a section whose body is more than plain bytes.
type span struct {
	id Section
	extent
}

// spans returns the sections that are looked into, in the order in which they
// stand. Of several with one id the first counts; one that overlaps another,
// the rows or the end is left out.
func spans(rows []byte, from, to int64) []span {
	var list []span
	seen := make(map[Section]bool)
	for ; len(rows) > 0; rows = rows[blobRow:] {
		s := span{Section(binary.BigEndian.Uint16(rows)), extent{int64(binary.BigEndian.Uint32(rows[2:])), int64(binary.BigEndian.Uint32(rows[6:]))}}
		if !seen[s.id] {
			list = append(list, s)
		}
		seen[s.id] = true
	}
	slices.SortStableFunc(list, func(a, b span) int { return cmp.Compare(a.off, b.off) })
	out := list[:0]
	for _, s := range list {
		switch s.id {
		case SectionStoreID, SectionCurrentRoot, SectionPublicKey, SectionKeyTable, SectionChunkPool, SectionMerkleNodes, SectionFiller:
			if s.n > 0 && s.off >= from && s.end() <= to {
				out = append(out, s)
				from = s.end()
			}
		}
	}
	return out
}

func (t *taker) section(b *blob, s span) (err error) {
	opaque := t.parts > maxParts
	switch {
	case s.n <= 64 && s.id <= SectionPublicKey:
		var body []byte
		if body, err = t.keepNext(s.n); err != nil {
			return err
		}
		if s.id == SectionStoreID {
			copy(b.id.Store[:], body)
		} else if s.id == SectionCurrentRoot {
			copy(b.id.Root[:], body)
		}
		return nil
	case s.id == SectionKeyTable && s.n <= maxCapture && !opaque:
		if b.table, err = t.capture(partTable, s.n); err == nil {
			b.columns, b.totals = parseTable(t.done[b.table].plain)
		}
		return err
	case s.id == SectionMerkleNodes && s.n <= maxCapture && !opaque:
		b.leaves, err = t.capture(partLeaves, s.n)
		return err
	case s.id == SectionChunkPool && s.n >= 4 && !opaque:
		return t.frames(b, s.n)
	case s.id == SectionFiller && !opaque:
		return t.filler(b.id, s.n)
	}
	return t.passNext(s.n)
}

// capture reads a stretch that may become columns at the end.
func (t *taker) capture(kind partKind, n int64) (int, error) {
	t.flush()
	var body []byte
	for int64(len(body)) < n {
		at := len(body)
		body = append(body, make([]byte, min(n-int64(at), 1<<20))...)
		if err := t.readNext(body[at:]); err != nil {
			return -1, err
		}
	}
	t.parts++
	t.done = append(t.done, event{kind: kind, plain: body})
	return len(t.done) - 1, nil
}

// frames takes the pool apart, as far as it is well formed.
func (t *taker) frames(b *blob, n int64) error {
	head, err := t.keepNext(4)
	if err != nil {
		return err
	}
	n -= 4
	count := int64(binary.BigEndian.Uint32(head))
	t.flush()
	walk := newWalker(b.columns)
	b.first = int64(t.pipe.sent)
	for i := range count {
		if err := t.ctx.Err(); err != nil {
			return fmt.Errorf("take module apart: %w", err)
		}
		if n < 4 || t.pipe.sent >= maxPieces {
			break
		}
		length, err := t.peekU32()
		if err != nil {
			return err
		}
		if int64(length) > min(n-4, MaxChunk) {
			break
		}
		n -= 4 + int64(length)
		if _, err := t.r.Discard(4); err != nil {
			return t.cut(err)
		}
		piece, err := t.pipe.get(int(length))
		if err != nil {
			return fmt.Errorf("take module apart: %w", err)
		}
		if err := t.readNext(piece.data); err != nil {
			return err
		}
		t.event(event{kind: partFrames, a: int64(t.pipe.sent), b: 1})
		t.pipe.send(piece, walk.steps(piece.steps[:0], uint32(i), piece.data))
		if i == count-1 && n == 0 {
			b.pool = count
		}
	}
	if count == 0 && n == 0 {
		b.pool = 0
	}
	return t.passNext(n)
}

// peekU32 reads the length in front of a frame. A frame that turns out not to
// be one must leave its length in the stream, so it is only consumed here when
// it is good.
func (t *taker) peekU32() (uint32, error) {
	p, err := t.r.Peek(4)
	if err != nil {
		return 0, t.cut(err)
	}
	return binary.BigEndian.Uint32(p), nil
}

// filler compares a stretch with the standard filler.
func (t *taker) filler(id ID, n int64) error {
	key := newKeystream(id)
	got, want := make([]byte, fillerUnit*8), make([]byte, fillerUnit*8)
	for off := int64(0); off < n; {
		k := min(int64(len(got)), n-off)
		if err := t.readNext(got[:k]); err != nil {
			return err
		}
		key.read(want[:k], off)
		for i := int64(0); i < k; i += fillerUnit {
			end := min(i+fillerUnit, k)
			if bytes.Equal(got[i:end], want[i:end]) {
				if len(t.fill) == 0 || t.fill[len(t.fill)-1] != id {
					t.fill = append(t.fill, id)
				}
				t.flush()
				t.event(event{kind: partFiller, n: end - i, a: off + i, b: int64(len(t.fill) - 1)})
			} else {
				t.pass(got[i:end])
			}
		}
		off += k
	}
	return nil
}

// event appends to the last event what continues it.
func (t *taker) event(e event) {
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
func (t *taker) cut(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return &FormatError{Fault: NotWasm, Offset: -1, Err: fmt.Errorf("the module is cut: %w", io.ErrUnexpectedEOF)}
	}
	return fmt.Errorf("take module apart: %w", err)
}

func (t *taker) readNext(p []byte) error {
	if _, err := io.ReadFull(t.r, p); err != nil {
		return t.cut(err)
	}
	return nil
}

// keepNext reads a header and keeps it in the recipe.
func (t *taker) keepNext(n int64) ([]byte, error) {
	p := make([]byte, n)
	if err := t.readNext(p); err != nil {
		return nil, err
	}
	t.keep(p)
	return p, nil
}

// passNext reads plain bytes.
func (t *taker) passNext(n int64) error {
	for buf := make([]byte, min(n, 32<<10)); n > 0; {
		if err := t.ctx.Err(); err != nil {
			return fmt.Errorf("take module apart: %w", err)
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

// demote makes plain bytes of what was captured of a blob that is not the last.
func (t *taker) demote() {
	b := t.last
	t.last = nil
	if b == nil || (b.table < 0 && b.leaves < 0) {
		return
	}
	t.flush()
	from := max(b.table, b.leaves)
	for _, i := range []int{b.table, b.leaves} {
		if i >= 0 {
			from = min(from, i)
		}
	}
	rest := slices.Clone(t.done[from:])
	t.done = t.done[:from]
	for _, e := range rest {
		if e.kind == partTable || e.kind == partLeaves {
			t.done = append(t.done, t.plainEvents(e.plain)...)
		} else {
			t.done = append(t.done, e)
		}
	}
}

// plainEvents makes events of plain bytes that stand between others.
func (t *taker) plainEvents(p []byte) []event {
	done := t.done
	t.done = nil
	t.pass(p)
	t.flush()
	made := t.done
	t.done = done
	return made
}
