package pack

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"

	"github.com/dig-network/digstore/merkle"
)

const (
	// Magic begins every pack.
	Magic = "DIGPACK1"
	// End is the last field of a finished pack.
	End = "DIGPEND1"

	footerSize = 8 + 4 + 4 + len(End)
	rowSize    = 32 + 8 + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// An Entry locates the frame of a chunk in a pack.
type Entry struct {
	// ID is the SHA-256 of the sealed chunk.
	ID merkle.Hash
	// Offset is where the frame begins in the pack, in bytes. The chunk begins 4 bytes later.
	Offset int64
	// Len is the length of the sealed chunk in bytes, without the length field of the frame.
	Len uint32
}

// appendRows appends the rows of entries, ascending by id. It does not change entries.
func appendRows(b []byte, entries []Entry) []byte {
	sorted := make([]*Entry, len(entries))
	for i := range entries {
		sorted[i] = &entries[i]
	}
	slices.SortFunc(sorted, func(a, b *Entry) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	for _, e := range sorted {
		b = append(b, e.ID[:]...)
		b = binary.BigEndian.AppendUint64(b, uint64(e.Offset))
		b = binary.BigEndian.AppendUint32(b, e.Len)
	}
	return b
}

// parseRow decodes the first rowSize bytes of row.
func parseRow(row []byte) Entry {
	return Entry{
		ID:     merkle.Hash(row[:32]),
		Offset: int64(binary.BigEndian.Uint64(row[32:])),
		Len:    binary.BigEndian.Uint32(row[40:]),
	}
}
