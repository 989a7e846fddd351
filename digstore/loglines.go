package digstore

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// roots.log has one line for each generation, "number\troot\tunix seconds\n". What we write has the numbers from 0 by
// 1. The reference writes numbers twice or with gaps, and a root twice; the order of its lines counts, and lines that
// follow each other with one root are one.
//
// Without proofs only the last line may be torn: one without a line feed, or with a zero byte. A line that begins with
// a zero byte ends the history, whatever follows: it is the first of several whose writer did not come to its end.

// maxLine is longer than any line.
const maxLine = 128

// eachLine parses lines without proofs, numbers them from next on and calls each with where they begin, until that returns
// false. It returns where the part that counts ends, and whether the lines are other than ours are.
func eachLine(name string, text []byte, next uint64, each func(g module.Generation, off int) bool) (size int, odd bool, err error) {
	var before merkle.Hash
	for off := 0; off < len(text) && text[off] != 0; {
		end := bytes.IndexByte(text[off:], '\n')
		if end < 0 {
			break
		}
		line := text[off : off+end]
		if len(bytes.TrimSpace(line)) > 0 {
			g, err := parseLine(line)
			if err != nil {
				if off+end+1 == len(text) && bytes.IndexByte(line, 0) >= 0 {
					break
				}
				return size, odd, corrupt(name, "line %d: %v", next+1, err)
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

func parseLine(line []byte) (g module.Generation, err error) {
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

func appendLine(b []byte, g module.Generation) []byte {
	return fmt.Appendf(b, "%d\t%s\t%d\n", g.Number, g.Root, g.Time.Unix())
}

// lineAt reads the line that begins at off.
func lineAt(f io.ReaderAt, off int64) (g module.Generation, err error) {
	var b [maxLine]byte
	n, err := f.ReadAt(b[:], off)
	if err != nil && err != io.EOF {
		return g, err
	}
	end := bytes.IndexByte(b[:n], '\n')
	if end < 0 {
		return g, io.ErrUnexpectedEOF
	}
	return parseLine(b[:end])
}

// seekLine returns where the line of number n begins, which lies in [from, to) of the log; the line at from has the number
// first, and rows lines lie there. Lines are all about as long, so the place is guessed, and the guess made better.
func seekLine(f io.ReaderAt, n uint64, from, to int64, first, rows uint64) (int64, error) {
	for rows > 0 && n >= first && n < first+rows {
		if n == first {
			return from, nil
		}
		guess := from + int64(float64(to-from)*(float64(n-first)/float64(rows))) - maxLine
		var b [4 * maxLine]byte
		at := max(from, guess)
		size, err := f.ReadAt(b[:min(int64(len(b)), to-at)], at)
		if err != nil && err != io.EOF {
			return 0, err
		}
		text, skip := b[:size], 0
		if at > from { // the first whole line
			skip = bytes.IndexByte(text, '\n') + 1
		}
		var below, above lineMark
		for skip < len(text) {
			end := bytes.IndexByte(text[skip:], '\n')
			if end < 0 {
				break
			}
			if line := text[skip : skip+end]; len(bytes.TrimSpace(line)) > 0 {
				g, err := parseLine(line)
				if err != nil {
					return 0, err
				}
				m := lineMark{g.Number, at + int64(skip), true}
				switch {
				case g.Number == n:
					return m.off, nil
				case g.Number < n:
					below = m
				case !above.ok:
					above = m
				}
			}
			skip += end + 1
		}
		switch {
		case below.ok && below.n > first:
			rows, first, from = first+rows-below.n, below.n, below.off
		case above.ok:
			rows, to = above.n-first, above.off
		default:
			return 0, io.ErrUnexpectedEOF
		}
	}
	return 0, io.ErrUnexpectedEOF
}

// lineMark is a line that was come upon.
type lineMark struct {
	n   uint64
	off int64
	ok  bool
}
