package pack

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"iter"

	"github.com/dig-network/digstore/digstore/internal/damage"
	"github.com/dig-network/digstore/merkle"
)

// An Index locates chunks in one or several packs. It does not change and may be used by several
// goroutines.
type Index struct {
	packs []string
	rows  []byte // ascending by id
	width int    // rowSize, or mergedRow if each row ends in the number of its pack
}

// NewIndex returns the index of a pack with the given chunks.
func NewIndex(pack string, entries []Entry) *Index {
	rows := appendRows(make([]byte, 0, len(entries)*rowSize), entries)
	return &Index{packs: []string{pack}, rows: rows, width: rowSize}
}

// ReadIndex reads the index of a finished pack of size bytes, and names the pack in it. It checks
// the footer and the checksum of the index, and reads no frame.
func ReadIndex(pack string, r io.ReaderAt, size int64) (*Index, error) {
	var foot [footerSize]byte
	if size < int64(len(Magic)+footerSize) {
		return nil, damage.Errorf("%d bytes are too few for a pack", size)
	}
	if _, err := r.ReadAt(foot[:], size-int64(footerSize)); err != nil {
		return nil, err
	}
	at := int64(binary.BigEndian.Uint64(foot[:]))
	n := int64(binary.BigEndian.Uint32(foot[8:]))
	if string(foot[16:]) != End || at < int64(len(Magic)) || at+n*rowSize+int64(footerSize) != size {
		return nil, damage.Errorf("bad footer")
	}
	rows := make([]byte, n*rowSize)
	if _, err := r.ReadAt(rows, at); err != nil {
		return nil, err
	}
	got, want := crc32.Checksum(rows, castagnoli), binary.BigEndian.Uint32(foot[12:])
	if got != want {
		return nil, damage.Errorf("index checksum %08x, want %08x", got, want)
	}
	return &Index{packs: []string{pack}, rows: rows, width: rowSize}, nil
}

// Packs returns the names of the packs that the index covers. The caller must not change them.
func (x *Index) Packs() []string { return x.packs }

// Len returns the number of chunks.
func (x *Index) Len() int { return len(x.rows) / x.width }

// Entries returns the chunks, ascending by id.
func (x *Index) Entries() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for i := range x.Len() {
			if !yield(parseRow(x.rows[i*x.width:])) {
				return
			}
		}
	}
}

// Find returns the place of a chunk and the name of its pack.
//
// Ids are hashes and evenly distributed, so the search begins at the row proportional to the id.
func (x *Index) Find(id merkle.Hash) (e Entry, pack string, ok bool) {
	n := x.Len()
	if n == 0 {
		return Entry{}, "", false
	}
	guess := int(uint64(binary.BigEndian.Uint32(id[:])) * uint64(n) >> 32)
	low, high := guess, guess
	for step := 1; low > 0 && bytes.Compare(x.id(low), id[:]) > 0; step *= 2 {
		low, high = max(0, low-step), low
	}
	for step := 1; high < n && bytes.Compare(x.id(high), id[:]) < 0; step *= 2 {
		low, high = high, min(n, high+step)
	}
	for low < high {
		middle := (low + high) / 2
		if bytes.Compare(x.id(middle), id[:]) < 0 {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if low == n || !bytes.Equal(x.id(low), id[:]) {
		return Entry{}, "", false
	}
	return parseRow(x.rows[low*x.width:]), x.packs[x.packOf(low)], true
}

// id returns the id of row i.
func (x *Index) id(i int) []byte { return x.rows[i*x.width : i*x.width+32] }

// packOf returns the number of the pack of row i.
func (x *Index) packOf(i int) int {
	if x.width == rowSize {
		return 0
	}
	return int(binary.BigEndian.Uint32(x.rows[i*x.width+rowSize:]))
}
