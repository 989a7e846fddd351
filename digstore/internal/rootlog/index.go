package rootlog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"

	"github.com/dig-network/digstore/digstore/internal/damage"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// An Index maps the first 8 bytes of a root to the offsets of its lines, for a part of roots.log.
// It is the header of a file history/*.idx; rows are read from an io.ReaderAt. The indexes of a log
// are contiguous and begin at its start. Lines after the last index have none.
type Index struct {
	// Stretch is the part of the log that the index covers.
	Stretch
	// Last is the offset of the last line, and LastSum the CRC-32C of the bytes from there to the
	// end of the stretch. The index is valid if the log agrees.
	Last    int64
	LastSum uint32
}

const (
	// IndexLines is the number of lines without an index that makes a writer add one.
	IndexLines = 256

	indexExt   = ".idx"
	indexMagic = "DIGROOTS"
	headerSize = len(indexMagic) + 5*8 + 4 + 4
	indexRow   = 16
	pageSize   = 4096
	pageRows   = 255
	indexBase  = 8
)

var errIndex = damage.Errorf("not a whole index")

// FileName returns the name of the file.
func (x *Index) FileName() string { return fmt.Sprintf("%016x-%016x%s", x.From, x.To, indexExt) }

// ParseIndexName returns an Index with only From and To set, from the name of its file. It returns
// nil if name is not that of an index file.
func ParseIndexName(name string) *Index {
	x := &Index{}
	text, ok := strings.CutSuffix(name, indexExt)
	n, err := fmt.Sscanf(text, "%016x-%016x", &x.From, &x.To)
	if !ok || err != nil || n != 2 || len(text) != 33 || x.From < 0 || x.To <= x.From {
		return nil
	}
	return x
}

// Level is the order of magnitude of the number of rows, to the base 8. There is at most one index
// of each level. So a lookup reads few files, and a line is rewritten few times.
func (x *Index) Level() int {
	n := 0
	for rows := x.Rows / IndexLines; rows >= indexBase; rows /= indexBase {
		n++
	}
	return n
}

// Covers reports whether text, the bytes of the log from Last to the end of the stretch, is what
// the index was made of. It returns the last line.
func (x *Index) Covers(text []byte) (last module.Generation, ok bool) {
	if Sum(text) != x.LastSum {
		return last, false // the index belongs to another log
	}
	line, _, _ := bytes.Cut(text, []byte{'\n'})
	last, err := ParseLine(line)
	return last, err == nil && last.Number == x.First+x.Rows-1
}

// ReadHeader reads the header of an index file. From and To must be set.
func (x *Index) ReadHeader(r io.ReaderAt) error {
	var b [headerSize]byte
	if _, err := r.ReadAt(b[:], 0); err == io.EOF {
		return errIndex
	} else if err != nil {
		return err
	}
	sum := len(b) - 4
	whole := crc32.Checksum(b[:sum], castagnoli) == binary.BigEndian.Uint32(b[sum:])
	if !whole || string(b[:len(indexMagic)]) != indexMagic {
		return errIndex
	}
	u64 := func(i int) uint64 { return binary.BigEndian.Uint64(b[len(indexMagic)+8*i:]) }
	from, to := int64(u64(0)), int64(u64(1))
	x.First, x.Rows, x.Last = u64(2), u64(3), int64(u64(4))
	x.LastSum = binary.BigEndian.Uint32(b[sum-4:])
	switch {
	case from != x.From || to != x.To, x.Rows == 0 || x.Rows > MaxSize, x.First > MaxSize,
		x.Last < x.From || x.Last >= x.To || x.To-x.Last > 2*MaxLine:
		return damage.Errorf("bad header")
	}
	return nil
}

func (x *Index) pages() int64 { return int64((x.Rows + pageRows - 1) / pageRows) }

// page reads a page.
func (x *Index) page(r io.ReaderAt, i int64) ([]byte, error) {
	b := make([]byte, pageSize)
	if _, err := r.ReadAt(b, int64(headerSize)+i*pageSize); err == io.EOF {
		return nil, damage.Errorf("page %d is cut", i)
	} else if err != nil {
		return nil, err
	}
	if crc32.Checksum(b[:pageSize-4], castagnoli) != binary.BigEndian.Uint32(b[pageSize-4:]) {
		return nil, damage.Errorf("page %d has another checksum", i)
	}
	return b[:indexRow*min(pageRows, int64(x.Rows)-i*pageRows)], nil
}

// Find returns the offsets of the lines whose roots have the same first 8 bytes as root. The caller
// compares the lines.
//
// Roots are hashes and evenly distributed, so the search begins at the page proportional to the
// value.
func (x *Index) Find(r io.ReaderAt, root merkle.Hash) (offs []int64, err error) {
	want := binary.BigEndian.Uint64(root[:8])
	lo, hi := int64(0), x.pages()-1
	i, step := int64(float64(want)/(1<<64)*float64(hi+1)), int64(1)
	for lo <= hi {
		if i = max(lo, min(i, hi)); lo > 0 && hi < x.pages()-1 {
			i = (lo + hi) / 2
		}
		b, err := x.page(r, i)
		if err != nil {
			return nil, err
		}
		first, last := binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[len(b)-indexRow:])
		switch {
		case want < first:
			hi, i = i-1, i-step
		case want > last:
			lo, i = i+1, i+step
		case want > first && want < last:
			return equalRows(b, want), nil
		default: // adjacent pages may have equal rows too
			rest, err := x.around(r, i, want)
			return append(equalRows(b, want), rest...), err
		}
		step *= 2
	}
	return nil, nil
}

func equalRows(page []byte, want uint64) (offs []int64) {
	for ; len(page) > 0; page = page[indexRow:] {
		if binary.BigEndian.Uint64(page) == want {
			offs = append(offs, int64(binary.BigEndian.Uint64(page[8:])))
		}
	}
	return offs
}

// around collects the rows equal to want on the pages before and after page i.
func (x *Index) around(r io.ReaderAt, i int64, want uint64) (offs []int64, err error) {
	for _, step := range []int64{-1, 1} {
		for j := i + step; j >= 0 && j < x.pages(); j += step {
			b, err := x.page(r, j)
			if err != nil {
				return nil, err
			}
			more := equalRows(b, want)
			if len(more) == 0 {
				break
			}
			offs = append(offs, more...)
		}
	}
	return offs, nil
}

// ReadRows reads all rows, for Marshal.
func (x *Index) ReadRows(r io.ReaderAt) ([]uint64, error) {
	rows := make([]uint64, 0, 2*min(x.Rows, 1<<20))
	for i := range x.pages() {
		b, err := x.page(r, i)
		if err != nil {
			return nil, err
		}
		for ; len(b) > 0; b = b[8:] {
			rows = append(rows, binary.BigEndian.Uint64(b))
		}
	}
	return rows, nil
}

// AppendRow appends the row of a line at offset off of the log.
func AppendRow(rows []uint64, root merkle.Hash, off int64) []uint64 {
	return append(rows, binary.BigEndian.Uint64(root[:8]), uint64(off))
}

// Marshal encodes an index file. rows may be in any order.
func (x *Index) Marshal(rows []uint64) []byte {
	sorted := make([][2]uint64, len(rows)/2)
	for i := range sorted {
		sorted[i] = [2]uint64{rows[2*i], rows[2*i+1]}
	}
	slices.SortFunc(sorted, func(a, b [2]uint64) int { return slices.Compare(a[:], b[:]) })
	b := append(make([]byte, 0, int64(headerSize)+x.pages()*pageSize), indexMagic...)
	for _, v := range []uint64{uint64(x.From), uint64(x.To), x.First, x.Rows, uint64(x.Last)} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	b = binary.BigEndian.AppendUint32(b, x.LastSum)
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	for page := range slices.Chunk(sorted, pageRows) {
		at := len(b)
		for _, row := range page {
			b = binary.BigEndian.AppendUint64(b, row[0])
			b = binary.BigEndian.AppendUint64(b, row[1])
		}
		b = append(b, make([]byte, at+pageSize-4-len(b))...)
		b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b[at:], castagnoli))
	}
	return b
}
