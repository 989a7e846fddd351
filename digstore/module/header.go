package module

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/wasm"
)

// A header is what Open reads: the places of the sections, and the identity of
// the module.
type header struct {
	id       ID
	key      auth.PublicKey
	blob     byteRange             // in the module, to the end of the last section
	sections map[Section]byteRange // in the module; of equal ids the first
}

// readHeader finds the blob and reads its rows (FORMAT.md 3 and 4). Of each
// section it reads only the header and the first bytes.
func readHeader(r io.ReaderAt, size int64) (*header, error) {
	off, n, err := wasm.Find(r, size, blobOffset, isBlob)
	switch {
	case errors.Is(err, wasm.ErrNoSegment):
		return nil, &FormatError{Fault: NoDataSection, Offset: -1}
	case errors.Is(err, wasm.ErrModule):
		return nil, &FormatError{Fault: NotWasm, Offset: -1, Err: err}
	case err != nil:
		return nil, fmt.Errorf("read module: %w", err)
	}
	h := &header{}
	if err := h.readRows(r, byteRange{off, n}); err != nil {
		return nil, err
	}
	if err := h.readFixed(r, SectionStoreID, h.id.Store[:]); err != nil {
		return nil, err
	}
	if err := h.readFixed(r, SectionCurrentRoot, h.id.Root[:]); err != nil {
		return nil, err
	}
	// Readers need no key. Verify reports one that is missing or malformed.
	var format *FormatError
	if err := h.readFixed(r, SectionPublicKey, h.key[:]); err != nil && !errors.As(err, &format) {
		return nil, err
	}
	return h, nil
}

// isBlob reports whether a data segment is a blob. It returns true for an error
// of the reader, which readRows then returns.
func isBlob(payload io.ReaderAt, n int64) bool {
	var magic [len(blobMagic)]byte
	if n < int64(len(magic)) {
		return false
	}
	_, err := payload.ReadAt(magic[:], 0)
	return string(magic[:]) == blobMagic || (err != nil && err != io.EOF)
}

// readRows reads the header and the rows of the blob in that segment.
func (h *header) readRows(r io.ReaderAt, segment byteRange) error {
	bad := func(at int64, format string, args ...any) error {
		return &FormatError{Fault: BadBlob, Offset: segment.off + at, Err: fmt.Errorf(format, args...)}
	}
	var head [blobHeader]byte
	if segment.n < blobHeader {
		return bad(0, "%d bytes, want at least %d", segment.n, blobHeader)
	}
	if err := readAll(r, head[:], segment.off); err != nil {
		return err
	}
	if string(head[:4]) != blobMagic || head[4] != 1 {
		return bad(0, "magic %q, version %d; want %q, 1", head[:4], head[4], blobMagic)
	}
	count := int64(binary.BigEndian.Uint32(head[5:]))
	if count > (segment.n-blobHeader)/blobRow {
		return bad(5, "%d rows do not fit into %d bytes", count, segment.n)
	}
	h.blob = byteRange{segment.off, blobHeader}
	h.sections = make(map[Section]byteRange)
	rows := make([]byte, blobRow*min(count, 1024))
	for done := int64(0); done < count; {
		n := min(count-done, 1024)
		if err := readAll(r, rows[:blobRow*n], segment.off+blobHeader+blobRow*done); err != nil {
			return err
		}
		for i := range n {
			row := rows[blobRow*i:]
			id := Section(binary.BigEndian.Uint16(row))
			off, length := int64(binary.BigEndian.Uint32(row[2:])), int64(binary.BigEndian.Uint32(row[6:]))
			if off+length > segment.n {
				return bad(blobHeader+blobRow*(done+i), "%v ends at byte %d of %d", id, off+length, segment.n)
			}
			h.blob.n = max(h.blob.n, off+length)
			if _, again := h.sections[id]; !again {
				h.sections[id] = byteRange{segment.off + off, length}
			}
		}
		done += n
	}
	return nil
}

// readFixed reads a section of len(dst) bytes.
func (h *header) readFixed(r io.ReaderAt, id Section, dst []byte) error {
	at, ok := h.sections[id]
	if !ok {
		return &FormatError{Fault: MissingSection, Section: id, Offset: -1}
	}
	if at.n != int64(len(dst)) {
		err := fmt.Errorf("%d bytes, want %d", at.n, len(dst))
		return &FormatError{Fault: BadLength, Section: id, Offset: at.off, Err: err}
	}
	return readAll(r, dst, at.off)
}

// readAll fills p from r at off, which lies inside the module.
func readAll(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read module at byte %d: %w", off, err)
}
