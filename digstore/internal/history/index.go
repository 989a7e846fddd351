package history

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/dig-network/digstore/digstore/internal/rootlog"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
)

// openRuns reads the headers of the valid index files, and the last line that they cover.
func (l *Log) openRuns(log diskfs.File, size int64) (
	runs []*rootlog.Index, newest module.Generation, err error) {
	if size < rootlog.IndexLines { // too short for an index
		return nil, newest, nil
	}
	dir := filepath.Join(l.dir, indexDir)
	list, err := l.fs.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, newest, nil
	}
	if err != nil {
		return nil, newest, err
	}
	for at, next := int64(0), uint64(0); ; {
		var best *rootlog.Index
		for _, e := range list {
			r := rootlog.ParseIndexName(e.Name())
			if r == nil || r.From != at || r.To > size {
				continue
			}
			if best == nil || r.To > best.To {
				best = r
			}
		}
		if best == nil {
			break
		}
		err := l.readHeader(best)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, module.ErrDamaged) {
			break // the caller reads its lines from the log
		}
		if err != nil {
			return nil, newest, err
		}
		if best.First != next {
			break
		}
		runs, at, next = append(runs, best), best.To, best.First+best.Rows
	}
	if len(runs) == 0 {
		return nil, newest, nil
	}
	r := runs[len(runs)-1]
	line := make([]byte, r.To-r.Last)
	if _, err := log.ReadAt(line, r.Last); err != nil && err != io.EOF {
		return nil, newest, err
	}
	newest, ok := r.Covers(line)
	if !ok {
		return nil, module.Generation{}, nil
	}
	return runs, newest, nil
}

// readHeader reads the header of an index from its file.
func (l *Log) readHeader(x *rootlog.Index) error {
	name := filepath.Join(l.dir, indexDir, x.FileName())
	f, err := l.fs.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return x.ReadHeader(f)
}

// readRows reads all rows of an index.
func (l *Log) readRows(x *rootlog.Index) ([]uint64, error) {
	f, err := l.fs.OpenFile(filepath.Join(l.dir, indexDir, x.FileName()), os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return x.ReadRows(f)
}

// Index writes an index file for the tail of h, merged with the preceding ones of the same level or
// below. It ignores errors: an index can be rebuilt from the log.
func (l *Log) Index(h *History) {
	if len(h.lines) < rootlog.IndexLines || h.odd {
		return
	}
	rows := make([]uint64, 0, 2*len(h.lines)) // pairs, as in the file
	for i, g := range h.lines {
		rows = rootlog.AppendRow(rows, g.Root, h.offs[i])
	}
	dir := filepath.Join(l.dir, indexDir)
	r := &rootlog.Index{Last: h.last, Stretch: rootlog.Stretch{
		From: h.start, To: h.size, First: h.past, Rows: uint64(len(h.lines))}}
	keep := slices.Clone(h.runs)
	for len(keep) > 0 && keep[len(keep)-1].Level() <= r.Level() {
		old := keep[len(keep)-1]
		more, err := l.readRows(old)
		if err != nil {
			l.dropIndex(nil) // the next call rebuilds it from the whole log
			return
		}
		rows = append(rows, more...)
		r.From, r.First, r.Rows = old.From, old.First, r.Rows+old.Rows
		keep = keep[:len(keep)-1]
	}
	f, err := h.open()
	if err != nil {
		return
	}
	line := make([]byte, r.To-r.Last)
	_, err = f.ReadAt(line, r.Last)
	_ = f.Close()
	if err != nil && err != io.EOF || len(line) > 2*rootlog.MaxLine {
		return
	}
	r.LastSum = rootlog.Sum(line)
	if diskfs.MkdirAll(l.fs, dir, 0o755) != nil {
		return
	}
	tmp := filepath.Join(dir, "index.tmp")
	if diskfs.WriteNew(l.fs, tmp, r.Marshal(rows), 0o644, true) != nil {
		return
	}
	if l.fs.Rename(tmp, filepath.Join(dir, r.FileName())) != nil {
		return
	}
	l.dropIndex(append(keep, r))
}

// dropIndex removes all index files except keep.
func (l *Log) dropIndex(keep []*rootlog.Index) {
	l.Forget()
	dir := filepath.Join(l.dir, indexDir)
	list, err := l.fs.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range list {
		named := func(r *rootlog.Index) bool { return r.FileName() == e.Name() }
		if !slices.ContainsFunc(keep, named) {
			_ = l.fs.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
