package rootlog_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/dig-network/digstore/digstore/internal/rootlog"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// linesOf returns n lines, their text and their proofs.
func linesOf(n int) (lines []module.Generation, text []byte, proofs []rootlog.Proof) {
	for i := range n {
		root := merkle.Sum(binary.BigEndian.AppendUint32(nil, uint32(i)))
		at := time.Unix(1_700_000_000+int64(i), 0).UTC()
		lines = append(lines, module.Generation{Number: uint64(i), Root: root, Time: at})
		text = rootlog.AppendLine(text, lines[i])
	}
	return lines, text, rootlog.Prove(0, lines)
}

// FuzzLines: lines that are parsed and not odd are found by their numbers and at their offsets.
func FuzzLines(f *testing.F) {
	_, text, _ := linesOf(20)
	f.Add(text)
	f.Add(text[:100])
	f.Add([]byte("0\tff\t1\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var lines []module.Generation
		var offs []int64
		size, odd, err := rootlog.Lines(text, 0, func(g module.Generation, off int) bool {
			lines, offs = append(lines, g), append(offs, int64(off))
			return true
		})
		if err != nil || odd {
			return
		}
		log := bytes.NewReader(text)
		for i, g := range lines {
			got, err := rootlog.LineAt(log, offs[i])
			if err == nil && got != g {
				t.Fatalf("line at %d is %v, want %v", offs[i], got, g)
			}
			s := rootlog.Stretch{From: offs[0], To: int64(size), Rows: uint64(len(lines))}
			if at, err := s.Seek(log, g.Number); err == nil && at != offs[i] {
				t.Fatalf("line %d is sought at %d, want %d", i, at, offs[i])
			}
		}
	})
}

// FuzzProofs: for any bytes of a log and of proofs, only lines that both have are valid.
func FuzzProofs(f *testing.F) {
	_, text, proofs := linesOf(5)
	blocks := rootlog.AppendBlocks(rootlog.Header(5), 0, proofs)
	f.Add(text, blocks)
	f.Add(text[:200], blocks)
	f.Add(text, blocks[:150])
	f.Fuzz(func(t *testing.T, text, blocks []byte) {
		p, err := rootlog.OpenProofs("proof", "log", bytes.NewReader(blocks), int64(len(blocks)))
		if err != nil {
			t.Fatal(err)
		}
		list, err := p.Check(text, 0, 0, p.Len, true)
		if err != nil {
			return
		}
		begin := int64(0)
		for i, one := range list {
			if rootlog.Sum(text[begin:one.End]) != one.Sum {
				t.Fatalf("line %d counts and is %q", i, text[begin:one.End])
			}
			got, err := p.LineOf(bytes.NewReader(text), begin)
			if err == nil && one.End > begin && got != one.Line {
				t.Fatalf("the line at %d is %v, want %v", begin, got, one.Line)
			}
			begin = one.End
		}
	})
}

// FuzzIndex: an index of any bytes returns offsets or an error. An index that was encoded finds
// every line.
func FuzzIndex(f *testing.F) {
	lines, text, proofs := linesOf(700)
	x := &rootlog.Index{Stretch: rootlog.Stretch{To: int64(len(text)), Rows: 700}}
	var rows []uint64
	for i, p := range proofs {
		rows = rootlog.AppendRow(rows, lines[i].Root, x.Last)
		if i < len(proofs)-1 {
			x.Last = p.End
		}
	}
	x.LastSum = rootlog.Sum(text[x.Last:])
	if last, ok := x.Covers(text[x.Last:]); !ok || last != lines[699] {
		f.Fatalf("the last line is %v, %v", last, ok)
	}
	whole := x.Marshal(rows)
	for i, g := range lines {
		offs, err := x.Find(bytes.NewReader(whole), g.Root)
		begin := int64(0)
		if i > 0 {
			begin = proofs[i-1].End
		}
		if err != nil || !slices.Contains(offs, begin) {
			f.Fatalf("line %d begins at %d, found at %v, %v", i, begin, offs, err)
		}
	}
	f.Add(whole)
	f.Add(whole[:60])
	f.Fuzz(func(t *testing.T, b []byte) {
		read := rootlog.ParseIndexName(x.FileName())
		if err := read.ReadHeader(bytes.NewReader(b)); err != nil {
			return
		}
		if _, err := read.Find(bytes.NewReader(b), lines[77].Root); err != nil {
			return
		}
		rows, err := read.ReadRows(bytes.NewReader(b))
		if err == nil && uint64(len(rows)) != 2*read.Rows {
			t.Fatalf("%d rows, want %d", len(rows)/2, read.Rows)
		}
	})
}
