package module

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
)

// A blob is the state of a blob until the next one or the end of the module.
type blob struct {
	id          ID
	table       int // index of its key table in done, -1: none
	leaves      int // index of its leaves in done, -1: none
	columns     *table
	totals      []uint64
	first, pool int64 // first frame of its pool in the stream, and count; -1: incomplete
}

// segment reads the payload of a data segment at the address of the blob.
func (t *decomposer) segment(n int64) error {
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
		err := fmt.Errorf("%d rows, want at most %d", count, 1<<16)
		return &FormatError{Fault: BadBlob, Offset: -1, Err: err}
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
		if err := t.section(b, *s); err != nil {
			return err
		}
		pos = s.end()
	}
	t.last = b
	return t.passNext(n - pos)
}

// A span is a section whose body is parsed.
type span struct {
	id Section
	byteRange
}

// spans returns the sections whose bodies are parsed, in the order of their
// offsets. Of equal ids the first row counts. A section that overlaps another one
// or the rows, or ends behind the segment, is left out.
func spans(rows []byte, from, to int64) []*span {
	var list []*span
	seen := make(map[Section]bool)
	for ; len(rows) > 0; rows = rows[blobRow:] {
		off, n := binary.BigEndian.Uint32(rows[2:]), binary.BigEndian.Uint32(rows[6:])
		s := &span{Section(binary.BigEndian.Uint16(rows)), byteRange{int64(off), int64(n)}}
		if !seen[s.id] {
			list = append(list, s)
		}
		seen[s.id] = true
	}
	slices.SortStableFunc(list, func(a, b *span) int { return cmp.Compare(a.off, b.off) })
	out := list[:0]
	for _, s := range list {
		switch s.id {
		case SectionStoreID, SectionCurrentRoot, SectionPublicKey, SectionKeyTable,
			SectionChunkPool, SectionMerkleNodes, SectionFiller:
			if s.n > 0 && s.off >= from && s.end() <= to {
				out = append(out, s)
				from = s.end()
			}
		}
	}
	return out
}

func (t *decomposer) section(b *blob, s span) (err error) {
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

// capture reads a body that finish may represent by columns.
func (t *decomposer) capture(kind partKind, n int64) (int, error) {
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

// frames reads the frames of the pool up to the first malformed one.
func (t *decomposer) frames(b *blob, n int64) error {
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
			return fmt.Errorf("decompose module: %w", err)
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
			return fmt.Errorf("decompose module: %w", err)
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

// peekU32 returns the length of the next frame and leaves it in the stream: the
// length of a malformed frame is a plain byte.
func (t *decomposer) peekU32() (uint32, error) {
	p, err := t.r.Peek(4)
	if err != nil {
		return 0, t.cut(err)
	}
	return binary.BigEndian.Uint32(p), nil
}

// filler compares a section with the filler of FORMAT.md 6.3.
func (t *decomposer) filler(id ID, n int64) error {
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

// demote makes plain bytes of what was captured of a blob that is not the last
// one.
func (t *decomposer) demote() {
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

// plainEvents returns events for plain bytes between other events.
func (t *decomposer) plainEvents(p []byte) []event {
	done := t.done
	t.done = nil
	t.pass(p)
	t.flush()
	made := t.done
	t.done = done
	return made
}
