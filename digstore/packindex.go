package digstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math/bits"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// A run answers where a chunk lies. The index of a pack is one; where there are many packs, those of about the
// same size are merged into an index file, so that looking a chunk up costs a number of runs that grows with the
// logarithm of the number of packs. Index files hold nothing that the packs do not: one that is damaged, or names
// a pack that is not there, is removed and made again.
//
//	"DIGRUN01" || u32 CRC-32C of the rest || u32 number of packs || names of packs, each u8 length || text ||
//	u32 number of chunks || per chunk id(32) || u64 offset || u32 length || u32 pack, ascending by id
//
// An index file is named run-<16 hex digits>.idx; no two writers make one at once (the store's lock).
type run struct {
	file  string   // name of the index file, "" for a pack's own index
	packs []string // names of the packs
	rows  []byte
	width int // packRow, or runRow with the number of the pack behind it
}

const (
	runMagic = "DIGRUN01"
	runRow   = packRow + 4
	packExt  = ".pack"
	runExt   = ".idx"
	runTemp  = "run.tmp" // an index file that is being written
	// tierRuns is how many runs of one size are let gather before they are merged.
	tierRuns = 8
)

func (r *run) len() int { return len(r.rows) / r.width }

// tier is the order of magnitude of a run's length, to the base 8.
func (r *run) tier() int { return bits.Len(uint(r.len())) / 3 }

// find looks up a chunk. Ids are hashes, so the place to look is about proportional to their value.
func (r *run) find(id merkle.Hash) (packEntry, string, bool) {
	n := r.len()
	if n == 0 {
		return packEntry{}, "", false
	}
	key := func(i int) []byte { return r.rows[i*r.width : i*r.width+32] }
	guess := int(uint64(binary.BigEndian.Uint32(id[:])) * uint64(n) >> 32)
	lo, hi := guess, guess
	for step := 1; lo > 0 && bytes.Compare(key(lo), id[:]) > 0; step *= 2 {
		lo, hi = max(0, lo-step), lo
	}
	for step := 1; hi < n && bytes.Compare(key(hi), id[:]) < 0; step *= 2 {
		lo, hi = hi, min(n, hi+step)
	}
	for lo < hi {
		mid := (lo + hi) / 2
		if bytes.Compare(key(mid), id[:]) < 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == n || !bytes.Equal(key(lo), id[:]) {
		return packEntry{}, "", false
	}
	e, pack := r.row(lo)
	return e, pack, true
}

func (r *run) row(i int) (packEntry, string) {
	row := r.rows[i*r.width:]
	if r.width == packRow {
		return parseRow(row), r.packs[0]
	}
	return parseRow(row), r.packs[binary.BigEndian.Uint32(row[packRow:])]
}

func readRun(fsys diskfs.FS, dir, file string) (*run, error) {
	name := filepath.Join(dir, file)
	b, err := diskfs.ReadFile(fsys, name, 1<<32)
	if err != nil {
		return nil, err
	}
	return parseRun(name, file, b)
}

func parseRun(name, file string, b []byte) (*run, error) {
	bad := corrupt(name, "not a whole index")
	if len(b) < len(runMagic)+8 || string(b[:len(runMagic)]) != runMagic {
		return nil, bad
	}
	b = b[len(runMagic):]
	if crc32.Checksum(b[4:], castagnoli) != binary.BigEndian.Uint32(b) {
		return nil, bad
	}
	n := binary.BigEndian.Uint32(b[4:])
	b = b[8:]
	if int64(n) > int64(len(b)) {
		return nil, bad
	}
	r := &run{file: file, width: runRow}
	for range n {
		if len(b) == 0 || len(b) < 1+int(b[0]) {
			return nil, bad
		}
		r.packs = append(r.packs, string(b[1:1+int(b[0])]))
		b = b[1+int(b[0]):]
	}
	if len(b) < 4 || int64(len(b)-4) != int64(binary.BigEndian.Uint32(b))*runRow {
		return nil, bad
	}
	r.rows = b[4:]
	for i := range r.len() {
		if int64(binary.BigEndian.Uint32(r.rows[i*runRow+packRow:])) >= int64(len(r.packs)) {
			return nil, bad
		}
	}
	return r, nil
}

// mergeRuns makes one run of several. Where two have a chunk, one of its places is kept.
func mergeRuns(runs []*run) *run {
	out := &run{width: runRow}
	total := 0
	number := map[string]uint32{}
	for _, r := range runs {
		total += r.len()
		for _, p := range r.packs {
			number[p] = uint32(len(out.packs))
			out.packs = append(out.packs, p)
		}
	}
	type ref struct{ run, row int }
	refs := make([]ref, 0, total)
	for i, r := range runs {
		for j := range r.len() {
			refs = append(refs, ref{i, j})
		}
	}
	id := func(f ref) []byte {
		r := runs[f.run]
		return r.rows[f.row*r.width : f.row*r.width+32]
	}
	slices.SortStableFunc(refs, func(a, b ref) int { return bytes.Compare(id(a), id(b)) })
	out.rows = make([]byte, 0, total*runRow)
	for i, f := range refs {
		if i > 0 && bytes.Equal(id(f), id(refs[i-1])) {
			continue
		}
		_, pack := runs[f.run].row(f.row)
		at := f.row * runs[f.run].width
		out.rows = append(out.rows, runs[f.run].rows[at:at+packRow]...)
		out.rows = binary.BigEndian.AppendUint32(out.rows, number[pack])
	}
	return out
}

func (r *run) marshal() []byte {
	b := append(make([]byte, 0, len(r.rows)+64*len(r.packs)+32), runMagic...)
	b = append(b, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.packs)))
	for _, p := range r.packs {
		b = append(append(b, byte(len(p))), p...)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(r.len()))
	b = append(b, r.rows...)
	binary.BigEndian.PutUint32(b[len(runMagic):], crc32.Checksum(b[len(runMagic)+4:], castagnoli))
	return b
}

// loadRuns reads the index of every pack in dir: merged ones from index files, the others from the packs themselves.
// A damaged or outdated index file is passed over, and named in stale.
func loadRuns(fsys diskfs.FS, dir string) (runs []*run, stale []string, err error) {
	list, err := fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("list packs: %w", err)
	}
	packs := map[string]bool{} // true: some run covers it
	for _, e := range list {
		if strings.HasSuffix(e.Name(), packExt) {
			packs[e.Name()] = false
		}
	}
	for _, e := range list {
		if !strings.HasSuffix(e.Name(), runExt) {
			continue
		}
		r, err := readRun(fsys, dir, e.Name())
		if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, fmt.Errorf("read index: %w", err)
		}
		if err != nil || !usable(r, packs) {
			stale = append(stale, e.Name())
			continue
		}
		for _, p := range r.packs {
			packs[p] = true
		}
		runs = append(runs, r)
	}
	for _, e := range list {
		if covered, ok := packs[e.Name()]; !ok || covered {
			continue
		}
		rows, err := readPackIndex(fsys, filepath.Join(dir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) { // gc has just removed it
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		runs = append(runs, &run{packs: []string{e.Name()}, rows: rows, width: packRow})
	}
	return runs, stale, nil
}

// usable reports whether an index file speaks of packs that are there and that no other run speaks of.
func usable(r *run, packs map[string]bool) bool {
	for _, p := range r.packs {
		if covered, ok := packs[p]; !ok || covered {
			return false
		}
	}
	return true
}
