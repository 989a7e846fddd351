package rootlog

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"time"

	"github.com/dig-network/digstore/digstore/internal/damage"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// MaxLine is an upper bound of the length in bytes of the lines that this library writes.
const MaxLine = 128

// Lines parses lines without proofs. It numbers them from next on, ignoring the numbers in them,
// and calls each with every line and its offset until each returns false. Consecutive lines with
// the same root are merged. size is the length of the valid part. odd says that this library would
// not have written the lines: their numbers are wrong, or a root repeats.
func Lines(text []byte, next uint64, each func(g module.Generation, off int) bool) (
	size int, odd bool, err error) {
	var before merkle.Hash
	for off := 0; off < len(text) && text[off] != 0; {
		end := bytes.IndexByte(text[off:], '\n')
		if end < 0 {
			break
		}
		line := text[off : off+end]
		if len(bytes.TrimSpace(line)) > 0 {
			g, err := ParseLine(line)
			if err != nil {
				if off+end+1 == len(text) && bytes.IndexByte(line, 0) >= 0 {
					break
				}
				return size, odd, damage.Errorf("line %d: %v", next+1, err)
			}
			odd = odd || g.Number != next || g.Root == before
			if g.Number = next; g.Root != before {
				if !each(g, off) {
					return off + end + 1, odd, nil
				}
				next++
			}
			before = g.Root
		}
		off += end + 1
		size = off
	}
	return size, odd, nil
}

// ParseLine parses a line without its line feed.
func ParseLine(line []byte) (g module.Generation, err error) {
	f := bytes.Split(bytes.TrimSuffix(line, []byte("\r")), []byte("\t"))
	if len(f) != 3 {
		return g, fmt.Errorf("%d fields, want 3", len(f))
	}
	if g.Number, err = strconv.ParseUint(string(f[0]), 10, 64); err != nil {
		return g, err
	}
	if g.Root, err = merkle.ParseHash(string(f[1])); err != nil {
		return g, err
	}
	sec, err := strconv.ParseInt(string(f[2]), 10, 64)
	if err != nil {
		return g, err
	}
	g.Time = time.Unix(sec, 0).UTC()
	return g, nil
}

// AppendLine appends the line of a generation, with a line feed.
func AppendLine(b []byte, g module.Generation) []byte {
	return fmt.Appendf(b, "%d\t%s\t%d\n", g.Number, g.Root, g.Time.Unix())
}

// LineAt reads the line that begins at offset off of the log.
func LineAt(f io.ReaderAt, off int64) (g module.Generation, err error) {
	var b [MaxLine]byte
	n, err := f.ReadAt(b[:], off)
	if err != nil && err != io.EOF {
		return g, err
	}
	end := bytes.IndexByte(b[:n], '\n')
	if end < 0 {
		return g, io.ErrUnexpectedEOF
	}
	return ParseLine(b[:end])
}

// A Stretch is a part of roots.log with known lines.
type Stretch struct {
	From, To    int64  // the bytes [From, To)
	First, Rows uint64 // number of the first line, and number of lines
}

// Seek returns the offset of line n. The lines must be numbered consecutively from First. Otherwise
// Seek returns io.ErrUnexpectedEOF or a parse error.
//
// It is an interpolation search: lines have similar lengths, and each line that is read narrows the
// range.
func (s Stretch) Seek(log io.ReaderAt, n uint64) (int64, error) {
	for s.Rows > 0 && n >= s.First && n < s.First+s.Rows {
		if n == s.First {
			return s.From, nil
		}
		below, at, above, err := s.around(log, n)
		switch {
		case err != nil:
			return 0, err
		case at.ok:
			return at.off, nil
		case below.ok && below.n > s.First:
			s.Rows, s.First, s.From = s.First+s.Rows-below.n, below.n, below.off
		case above.ok:
			s.Rows, s.To = above.n-s.First, above.off
		default:
			return 0, io.ErrUnexpectedEOF
		}
	}
	return 0, io.ErrUnexpectedEOF
}

// mark is a line that was read.
type mark struct {
	n   uint64
	off int64
	ok  bool
}

// around reads some lines near the estimated offset of line n. It returns line n, the last one
// before it and the first one after it, as far as they were read.
func (s Stretch) around(log io.ReaderAt, n uint64) (below, found, above mark, err error) {
	share := float64(n-s.First) / float64(s.Rows)
	at := max(s.From, s.From+int64(float64(s.To-s.From)*share)-MaxLine)
	var b [4 * MaxLine]byte
	size, err := log.ReadAt(b[:min(int64(len(b)), s.To-at)], at)
	if err != nil && err != io.EOF {
		return below, found, above, err
	}
	text, skip := b[:size], 0
	if at > s.From { // skip to the first whole line
		skip = bytes.IndexByte(text, '\n') + 1
	}
	for skip < len(text) {
		end := bytes.IndexByte(text[skip:], '\n')
		if end < 0 {
			break
		}
		line := text[skip : skip+end]
		off := at + int64(skip)
		skip += end + 1
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		g, err := ParseLine(line)
		if err != nil {
			return below, found, above, err
		}
		m := mark{g.Number, off, true}
		switch {
		case g.Number == n:
			return below, m, above, nil
		case g.Number < n:
			below = m
		case !above.ok:
			above = m
		}
	}
	return below, found, above, nil
}
