package wasm

import (
	"bytes"
	"fmt"
	"io"
	"math"
)

// The size of a page of memory, and the maximum number of pages of a .dig file. See
// digstore/module/FORMAT.md 6.4.
const (
	pageSize = 1 << 16
	maxPages = 6144
)

// Place adds a payload of payloadLen bytes at address offset of memory 0 to a template:
// the module is prefix, the payload, and suffix. The bytes are those of the reference
// compiler. Sections keep their order and bodies. Every memory gets at least the pages
// that the payload needs, and the maximum of 6144. One data section at the end has the
// data segments of the template and then the payload. A data count section is left
// out. All sizes are in their shortest form.
//
// A payload that does not fit into the memory is ErrTemplate, as is a memory that is
// shared or of 64 bits. prefix does not alias template.
func Place(template []byte, offset uint32, payloadLen int64) (prefix, suffix []byte, err error) {
	const room = maxPages * pageSize
	if payloadLen < 0 || int64(offset) > room || payloadLen > room-int64(offset) {
		return nil, nil, fmt.Errorf("%w: %d bytes at address %#x, want at most %d pages of memory",
			ErrTemplate, payloadLen, offset, maxPages)
	}
	need := uint32((int64(offset) + payloadLen + pageSize - 1) / pageSize)

	out := append([]byte(nil), preamble[:]...)
	var segments []byte
	var count uint32
	w := newWalk(&file{r: bytes.NewReader(template), size: int64(len(template))}, int64(len(template)))
	for {
		c, err := w.section()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, nil, err
		}
		switch c.id {
		case memoryID:
			body, err := growMemories(w, need)
			if err != nil {
				return nil, nil, err
			}
			out = appendSection(out, memoryID, body)
		case dataID:
			n, err := w.segments()
			if err != nil {
				return nil, nil, err
			}
			for range n {
				if segments, err = copySegment(segments, w, template); err != nil {
					return nil, nil, err
				}
			}
			count += n // each takes two bytes of a template that is in memory
			if err := w.full(); err != nil {
				return nil, nil, err
			}
		case dataCountID:
			err = w.pass(c)
		default:
			out = appendSection(out, c.id, template[c.start:c.start+c.n])
			err = w.pass(c)
		}
		if err != nil {
			return nil, nil, err
		}
	}

	body := appendU32(nil, count+1)
	body = append(body, segments...)
	body = append(body, 0, 0x41) // active in memory 0, at i32.const
	body = appendI32(body, int32(offset))
	body = append(body, 0x0b)
	body = appendU32(body, uint32(payloadLen))
	size := int64(len(body)) + payloadLen
	if size > math.MaxUint32 {
		return nil, nil, fmt.Errorf("%w: data section of %d bytes", ErrTemplate, size)
	}
	out = appendU32(append(out, dataID), uint32(size))
	return append(out, body...), nil, nil
}

func appendSection(b []byte, id byte, body []byte) []byte {
	b = appendU32(append(b, id), uint32(len(body)))
	return append(b, body...)
}

// growMemories reads a memory section and returns a body in which each memory has at least
// need pages.
func growMemories(w *walk, need uint32) ([]byte, error) {
	n, err := w.u32()
	if err != nil {
		return nil, err
	}
	body := appendU32(nil, n)
	for range n {
		least, err := w.memory()
		if err != nil {
			return nil, err
		}
		if least = max(least, need); least > maxPages {
			return nil, fmt.Errorf("%w: memory of at least %d pages, want at most %d",
				ErrTemplate, least, maxPages)
		}
		body = appendU32(append(body, 1), least)
		body = appendU32(body, maxPages)
	}
	return body, w.full()
}

// memory reads the type of a memory and returns its least number of pages.
func (w *walk) memory() (least uint32, err error) {
	flags, err := w.byte()
	if err != nil {
		return 0, err
	}
	if flags > 1 {
		return 0, fmt.Errorf("%w: memory flags %#02x, want one of 32 bits that is not shared",
			ErrTemplate, flags)
	}
	if least, err = w.u32(); err == nil && flags == 1 {
		_, err = w.u32()
	}
	return least, err
}

// copySegment reads a segment and appends it in its shortest form.
func copySegment(b []byte, w *walk, template []byte) ([]byte, error) {
	s, err := w.segment()
	if err != nil {
		return b, err
	}
	switch {
	case !s.active:
		b = append(b, 1)
	case s.memory == 0:
		b = append(b, 0)
	default:
		b = appendU32(append(b, 2), s.memory)
	}
	switch {
	case s.active && s.known:
		b = append(appendI32(append(b, 0x41), s.address), 0x0b)
	case s.active:
		b = append(b, template[s.from:s.to]...)
	}
	b = appendU32(b, uint32(s.n))
	b = append(b, template[w.at:w.at+s.n]...)
	return b, w.skip(s.n)
}
