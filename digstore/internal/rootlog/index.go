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

// An Index says where the lines of a part of roots.log are, by the beginnings of their roots. It is
// a file history/*.idx, whose rows are read from an io.ReaderAt. Indexes cover the log from its
// beginning, one behind the other. Lines behind them are read.
type Index struct {
	// Stretch is the part of the log that the index covers.
	Stretch
	// Last is where the last line begins, and LastSum the CRC-32C of the bytes from there to the
	// end of the stretch. The index counts if the log has them.
	Last    int64
	LastSum uint32
}

const (
	// IndexLines is how many lines at the end of the log are left without an index, less one.
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

// ParseIndexName returns an Index of which only From and To are known, those in the name of its
// file. It returns nil for any other name.
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
// of each level, so that a root is looked up in few files and a line is written into few.
func (x *Index) Level() int {
	n := 0
	for rows := x.Rows / IndexLines; rows >= indexBase; rows /= indexBase {
		n++
	}
	return n
}

// Covers reports whether text, the bytes of the log from Last to the end of the stretch, are those
// of the index, and returns the last line.
func (x *Index) Covers(text []byte) (last module.Generation, ok bool) {
	if Sum(text) != x.LastSum {
		return last, false // it is the index of another log
	}
	line, _, _ := bytes.Cut(text, []byte{'\n'})
	last, err := ParseLine(line)
	return last, err == nil && last.Number == x.First+x.Rows-1
}

// ReadHeader reads the header of the file of an index, whose From and To are known.
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

// Find returns where lines begin whose roots may be this one: their first 8 bytes are equal. The
// caller reads the lines.
//
// Roots are hashes, so a row is on the page that is proportional to its value, or near it.
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
		default: // such rows may stand on the pages beside it, too
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

// around collects equal rows on the pages beside page i.
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

// AppendRow appends the row of a line that begins at an offset of the log.
func AppendRow(rows []uint64, root merkle.Hash, off int64) []uint64 {
	return append(rows, binary.BigEndian.Uint64(root[:8]), uint64(off))
}

// Marshal returns the file of an index with those rows, which may be in any order.
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
