package digstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// A rootRun is an index file of roots.log, history/<from>-<to>.idx with 16 hex digits each: it says where in the bytes
// [from, to) of the log the lines are, by the beginnings of their roots. All integers are big-endian.
//
//	"DIGROOTS" || u64 from || u64 to || u64 number of the first line || u64 lines || u64 where the last line begins ||
//	u32 CRC-32C of the last line || u32 CRC-32C of the header up to here
//	pages of 4,096 bytes: 255 rows, zero bytes where there are fewer, 12 zero bytes, u32 CRC-32C of the page up to here
//	row: u64 first eight bytes of the root || u64 where its line begins; ascending
//
// The files cover the log from its beginning, one behind the other; lines behind them are read. A writer who finds, or
// leaves, indexLines of them makes a file, into which it merges the files before that are about as long: there is at most
// one of each magnitude, to the base 8. So a look-up reads a page or two of a number of files that grows with
// the logarithm of the history, and a commit rewrites that often, in all, what it adds.
//
// The files hold nothing that the log does not. One counts if its header is whole and the log has the last line that
// it names in its place; what it then names is read in the log itself. Damaged ones are passed over, and made again.
type rootRun struct {
	file     string
	from, to int64
	first    uint64 // number of the first line
	rows     uint64
	last     int64 // where the last line begins
	lastSum  uint32
}

const (
	rootMagic  = "DIGROOTS"
	rootHeader = len(rootMagic) + 5*8 + 4 + 4
	rootRow    = 16
	rootPage   = 4096
	pageRows   = 255
	historyDir = "history"
	indexLines = 256
	indexBase  = 8
)

// level is the magnitude of a run.
func (r *rootRun) level() int {
	n := 0
	for rows := r.rows / indexLines; rows >= indexBase; rows /= indexBase {
		n++
	}
	return n
}

func (r *rootRun) pages() int64 { return int64((r.rows + pageRows - 1) / pageRows) }

// openRuns reads the headers of the index files that count, and the last line that they cover.
func (s *Store) openRuns(log diskfs.File, size int64) (runs []*rootRun, newest module.Generation, err error) {
	if size < indexLines { // there is nothing to be covered
		return nil, newest, nil
	}
	dir := filepath.Join(s.dir, historyDir)
	list, err := s.w.fs.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, newest, nil
	}
	if err != nil {
		return nil, newest, err
	}
	for at, next := int64(0), uint64(0); ; {
		var best *rootRun
		for _, e := range list {
			if r := parseRunName(e.Name()); r != nil && r.from == at && r.to <= size && (best == nil || r.to > best.to) {
				best = r
			}
		}
		if best == nil {
			break
		}
		err := best.readHeader(s.w.fs, dir)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrCorrupt) || err == nil && best.first != next {
			break // what it covers is read
		}
		if err != nil {
			return nil, newest, err
		}
		runs, at, next = append(runs, best), best.to, best.first+best.rows
	}
	if len(runs) == 0 {
		return nil, newest, nil
	}
	r := runs[len(runs)-1]
	line := make([]byte, r.to-r.last)
	if _, err := log.ReadAt(line, r.last); err != nil && err != io.EOF {
		return nil, newest, err
	}
	if crc32.Checksum(line, castagnoli) != r.lastSum { // they are of another log
		return nil, newest, nil
	}
	text, _, _ := bytes.Cut(line, []byte{'\n'})
	newest, err = parseLine(text)
	if err != nil || newest.Number != r.first+r.rows-1 {
		return nil, module.Generation{}, nil
	}
	return runs, newest, nil
}

func parseRunName(name string) *rootRun {
	r := &rootRun{file: name}
	text, ok := strings.CutSuffix(name, ".idx")
	if n, err := fmt.Sscanf(text, "%016x-%016x", &r.from, &r.to); !ok || err != nil || n != 2 || len(text) != 33 || r.from < 0 || r.to <= r.from {
		return nil
	}
	return r
}

func (r *rootRun) readHeader(fsys diskfs.FS, dir string) error {
	name := filepath.Join(dir, r.file)
	f, err := fsys.OpenFile(name, openRead, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var b [rootHeader]byte
	if _, err := f.ReadAt(b[:], 0); err == io.EOF {
		return corrupt(name, "not a whole index")
	} else if err != nil {
		return err
	}
	sum := len(b) - 4
	if string(b[:len(rootMagic)]) != rootMagic || crc32.Checksum(b[:sum], castagnoli) != binary.BigEndian.Uint32(b[sum:]) {
		return corrupt(name, "not a whole index")
	}
	u64 := func(i int) uint64 { return binary.BigEndian.Uint64(b[len(rootMagic)+8*i:]) }
	from, to := int64(u64(0)), int64(u64(1))
	r.first, r.rows, r.last, r.lastSum = u64(2), u64(3), int64(u64(4)), binary.BigEndian.Uint32(b[sum-4:])
	if from != r.from || to != r.to || r.rows == 0 || r.rows > maxLog || r.first > maxLog || r.last < r.from || r.last >= r.to || r.to-r.last > 2*maxLine {
		return corrupt(name, "bad header")
	}
	return nil
}

// page reads a page.
func (r *rootRun) page(f io.ReaderAt, i int64) ([]byte, error) {
	b := make([]byte, rootPage)
	if _, err := f.ReadAt(b, int64(rootHeader)+i*rootPage); err == io.EOF {
		return nil, corrupt(r.file, "page %d is cut", i)
	} else if err != nil {
		return nil, err
	}
	if crc32.Checksum(b[:rootPage-4], castagnoli) != binary.BigEndian.Uint32(b[rootPage-4:]) {
		return nil, corrupt(r.file, "page %d has another checksum", i)
	}
	return b[:rootRow*min(pageRows, int64(r.rows)-i*pageRows)], nil
}

// find returns where lines may begin whose roots begin like this one. Roots are hashes, so the page to look at
// is about proportional to their value, and if not that page, then one near it.
func (r *rootRun) find(f io.ReaderAt, root merkle.Hash) (offs []int64, err error) {
	want := binary.BigEndian.Uint64(root[:8])
	lo, hi := int64(0), r.pages()-1
	i, step := int64(float64(want)/(1<<64)*float64(hi+1)), int64(1)
	for lo <= hi {
		if i = max(lo, min(i, hi)); lo > 0 && hi < r.pages()-1 {
			i = (lo + hi) / 2
		}
		b, err := r.page(f, i)
		if err != nil {
			return nil, err
		}
		first, last := binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[len(b)-rootRow:])
		switch {
		case want < first:
			hi, i = i-1, i-step
		case want > last:
			lo, i = i+1, i+step
		case want > first && want < last:
			return equalRows(b, want), nil
		default: // such rows may stand on the pages beside it, too
			rest, err := r.around(f, i, want)
			return append(equalRows(b, want), rest...), err
		}
		step *= 2
	}
	return nil, nil
}

func equalRows(page []byte, want uint64) (offs []int64) {
	for ; len(page) > 0; page = page[rootRow:] {
		if binary.BigEndian.Uint64(page) == want {
			offs = append(offs, int64(binary.BigEndian.Uint64(page[8:])))
		}
	}
	return offs
}

// around collects equal rows on the pages beside page i.
func (r *rootRun) around(f io.ReaderAt, i int64, want uint64) (offs []int64, err error) {
	for _, step := range []int64{-1, 1} {
		for j := i + step; j >= 0 && j < r.pages(); j += step {
			b, err := r.page(f, j)
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

// index makes an index file of the tail, merged with the runs before it that are about as long. The caller holds the
// store's lock and has just read h. Nothing is lost when it fails.
func (s *Store) index(h *history) {
	if len(h.lines) < indexLines || h.odd {
		return
	}
	rows := make([]uint64, 0, 2*len(h.lines)) // pairs, as in the file
	for i, g := range h.lines {
		rows = append(rows, binary.BigEndian.Uint64(g.Root[:8]), uint64(h.offs[i]))
	}
	dir := filepath.Join(s.dir, historyDir)
	r := &rootRun{from: h.start, to: h.size, first: h.past, rows: uint64(len(h.lines)), last: h.last}
	keep := slices.Clone(h.runs)
	for len(keep) > 0 && keep[len(keep)-1].level() <= r.level() {
		old := keep[len(keep)-1]
		more, err := old.readRows(s.w.fs, dir)
		if err != nil {
			s.dropIndex(nil) // it is made again of the whole log
			return
		}
		rows = append(rows, more...)
		r.from, r.first, r.rows = old.from, old.first, r.rows+old.rows
		keep = keep[:len(keep)-1]
	}
	f, err := h.open()
	if err != nil {
		return
	}
	line := make([]byte, r.to-r.last)
	_, err = f.ReadAt(line, r.last)
	_ = f.Close()
	if err != nil && err != io.EOF || len(line) > 2*maxLine {
		return
	}
	r.lastSum = crc32.Checksum(line, castagnoli)
	r.file = fmt.Sprintf("%016x-%016x%s", r.from, r.to, ".idx")
	if diskfs.MkdirAll(s.w.fs, dir, 0o755) != nil {
		return
	}
	tmp := filepath.Join(dir, "index.tmp")
	if diskfs.WriteNew(s.w.fs, tmp, r.marshal(rows), 0o644, true) != nil || s.w.fs.Rename(tmp, filepath.Join(dir, r.file)) != nil {
		return
	}
	s.dropIndex(append(keep, r))
}

// dropIndex removes the index files that are not among those.
func (s *Store) dropIndex(keep []*rootRun) {
	s.forgetHistory()
	dir := filepath.Join(s.dir, historyDir)
	list, err := s.w.fs.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range list {
		if !slices.ContainsFunc(keep, func(r *rootRun) bool { return r.file == e.Name() }) {
			_ = s.w.fs.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

// readRows reads all rows.
func (r *rootRun) readRows(fsys diskfs.FS, dir string) ([]uint64, error) {
	f, err := fsys.OpenFile(filepath.Join(dir, r.file), openRead, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rows := make([]uint64, 0, 2*min(r.rows, 1<<20))
	for i := range r.pages() {
		b, err := r.page(f, i)
		if err != nil {
			return nil, err
		}
		for ; len(b) > 0; b = b[8:] {
			rows = append(rows, binary.BigEndian.Uint64(b))
		}
	}
	return rows, nil
}

// marshal returns the file of a run, given its rows in any order.
func (r *rootRun) marshal(rows []uint64) []byte {
	sorted := make([][2]uint64, len(rows)/2)
	for i := range sorted {
		sorted[i] = [2]uint64{rows[2*i], rows[2*i+1]}
	}
	slices.SortFunc(sorted, func(a, b [2]uint64) int { return slices.Compare(a[:], b[:]) })
	b := append(make([]byte, 0, int64(rootHeader)+r.pages()*rootPage), rootMagic...)
	for _, v := range []uint64{uint64(r.from), uint64(r.to), r.first, r.rows, uint64(r.last)} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	b = binary.BigEndian.AppendUint32(b, r.lastSum)
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	for page := range slices.Chunk(sorted, pageRows) {
		at := len(b)
		for _, row := range page {
			b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, row[0]), row[1])
		}
		b = append(b, make([]byte, at+rootPage-4-len(b))...)
		b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b[at:], castagnoli))
	}
	return b
}
