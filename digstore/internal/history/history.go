package history

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dig-network/digstore/digstore/internal/damage"
	"github.com/dig-network/digstore/digstore/internal/rootlog"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

const (
	logFile  = "roots.log"
	indexDir = "history"

	// IndexDir is the directory of the index files, below that of the store.
	IndexDir = indexDir
)

// Options are settings of a Log. nil and the zero value mean the defaults.
type Options struct {
	// MustProve reports whether roots.proof must exist. Default: it need not.
	MustProve func() (bool, error)
	// Proven records, durably, that roots.proof must exist from now on. Default: no call.
	Proven func() error
}

// A Log is the history of a store, in the directory of that store. It may be used by several
// goroutines. Methods that write need the lock of the store and a history that was read under that
// lock.
type Log struct {
	fs  diskfs.FS
	dir string
	o   Options

	mu    sync.Mutex
	hist  *History
	stamp stamp
	seen  atomic.Bool // lines were read, so a missing roots.log is damage

	fullMu sync.Mutex
	full   []module.Generation // all lines; nil until Every is called
}

// stamp detects a change of roots.log since it was read.
type stamp struct {
	size  int64
	mtime time.Time
	known bool
}

// New returns the history in the directory of a store.
func New(fsys diskfs.FS, dir string, o *Options) *Log {
	l := &Log{fs: fsys, dir: dir}
	if o != nil {
		l.o = *o
	}
	return l
}

// A History is a snapshot of roots.log. It does not change and may be used by several goroutines.
// It holds the last lines, the tail, in memory and reads earlier ones from the files.
type History struct {
	log    *Log
	runs   []*rootlog.Index    // in order, from the beginning of the log
	lines  []module.Generation // the tail
	offs   []int64             // offset of each line of the tail
	at     map[merkle.Hash]int // index in the tail
	past   uint64              // lines before the tail
	start  int64               // offset of the tail
	size   int64               // length of the valid part of the file
	newest module.Generation   // if Len is not 0
	last   int64               // offset of its line

	confirmed uint64 // lines known to be durable; 0 in an unproven history

	proven bool // every line agrees with roots.proof
	odd    bool // the lines differ from those that this library writes
}

// Proven reports whether the lines have proofs.
func (h *History) Proven() bool { return h.proven }

// NeedsIndex reports whether the tail is so long that a writer should call Index.
func (h *History) NeedsIndex() bool { return len(h.lines) >= rootlog.IndexLines }

// Path returns the path of roots.log.
func (l *Log) Path() string { return filepath.Join(l.dir, logFile) }

// Current returns the history. It reads roots.log again only after the file has changed.
func (l *Log) Current() (*History, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var is stamp
	info, err := l.fs.Stat(l.Path())
	switch {
	case err == nil:
		is = stamp{info.Size(), info.ModTime(), true}
	case errors.Is(err, fs.ErrNotExist):
		is.known = true
	default:
		return nil, fmt.Errorf("read history: %w", err)
	}
	if l.hist != nil && is == l.stamp {
		return l.hist, nil
	}
	h, err := l.Read()
	if err != nil {
		return nil, err
	}
	// Otherwise a writer is appending, and may finish without changing the size or the time.
	if h.size == is.size {
		l.hist, l.stamp = h, is
	}
	return h, nil
}

// Forget makes the next call of Current read roots.log.
func (l *Log) Forget() {
	l.mu.Lock()
	l.hist, l.stamp = nil, stamp{}
	l.mu.Unlock()
}

// Read reads the headers of the index files and the lines after those that they cover.
func (l *Log) Read() (*History, error) {
	h, err := l.readLog()
	if err != nil && !errors.Is(err, module.ErrDamaged) {
		return nil, fmt.Errorf("read history: %w", err)
	}
	return h, err
}

func (l *Log) readLog() (*History, error) {
	h := &History{log: l, at: map[merkle.Hash]int{}}
	p, err := l.openProofs()
	if err != nil {
		return nil, err
	}
	if p != nil {
		h.proven, h.confirmed = true, p.Confirmed
		defer p.close()
	}
	f, err := l.fs.OpenFile(l.Path(), os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if p != nil {
			_, err = p.Check(nil, 0, 0, p.Len, true)
			return h, err
		}
		if l.seen.Load() {
			return nil, damage.In(l.Path(), "it is missing, and it had lines")
		}
		return h, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > rootlog.MaxSize {
		return nil, damage.In(l.Path(), "%d bytes, at most %d are read", info.Size(), rootlog.MaxSize)
	}
	if h.runs, h.newest, err = l.openRuns(f, info.Size()); err != nil {
		return nil, err
	}
	if n := len(h.runs); n > 0 {
		r := h.runs[n-1]
		h.past, h.start, h.last = r.First+r.Rows, r.To, r.Last
	}
	h.size = h.start
	text := make([]byte, info.Size()-h.start)
	n, err := f.ReadAt(text, h.start)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if p != nil {
		err = h.readProven(p, text[:n])
	} else {
		err = h.readUnproven(text[:n])
	}
	if err != nil {
		return nil, err
	}
	if n := len(h.lines); n > 0 {
		h.newest, h.last = h.lines[n-1], h.offs[n-1]
	}
	if h.Len() > 0 {
		l.seen.Store(true)
	}
	return h, nil
}

// readProven parses the tail from the bytes after the part that the index files cover.
func (h *History) readProven(p *proofs, text []byte) error {
	list, err := p.Check(text, h.start, h.past, p.Len, true)
	if err != nil {
		return err
	}
	for _, l := range list {
		h.add(l.Line, h.size)
		h.size = l.End
	}
	return nil
}

func (h *History) readUnproven(text []byte) error {
	end, odd, err := rootlog.Lines(text, h.past, func(g module.Generation, off int) bool {
		h.add(g, h.start+int64(off))
		return true
	})
	h.size, h.odd = h.start+int64(end), odd
	if err != nil {
		err = fmt.Errorf("%s: %w", h.log.Path(), err)
	}
	return err
}

func (h *History) add(g module.Generation, off int64) {
	h.at[g.Root] = len(h.lines)
	h.lines, h.offs = append(h.lines, g), append(h.offs, off)
}

// Len returns the number of lines.
func (h *History) Len() uint64 { return h.past + uint64(len(h.lines)) }

// Head returns the newest generation, or false if there is none.
func (h *History) Head() (module.Generation, bool) { return h.newest, h.Len() > 0 }

// Extend appends lines and their proofs to roots.log, durably and atomically. The generation of the
// last line is held; those of the other lines are recorded as dropped. After an error the lines may
// have been appended.
func (l *Log) Extend(h *History, lines []module.Generation) error {
	if err := l.Prove(h, lines, false); err != nil {
		return err
	}
	return l.ExtendProven(h, lines)
}

// ExtendProven is Extend for lines that Prove was called with.
func (l *Log) ExtendProven(h *History, lines []module.Generation) error {
	var text []byte
	for i, g := range lines {
		if want := h.Len() + uint64(i); g.Number != want {
			return fmt.Errorf("append to history: generation %d, want %d", g.Number, want)
		}
		text = rootlog.AppendLine(text, g)
	}
	if len(text) == 0 {
		return nil
	}
	defer l.Forget()
	if err := l.Drop(h.Len(), h.Len()+uint64(len(lines))-1); err != nil {
		return fmt.Errorf("append to history: %w", err)
	}
	if err := l.append(h, text, len(lines) > 1); err != nil {
		return fmt.Errorf("append to history: %w", err)
	}
	if h.proven || h.Len() == 0 {
		l.confirm(h.Len() + uint64(len(lines)))
	}
	if len(h.lines)+len(lines) >= rootlog.IndexLines {
		if now, err := l.Read(); err == nil {
			l.Index(now)
		}
	}
	return nil
}

// append writes text after the valid part of the log. If text has several lines, its first byte is
// written last.
func (l *Log) append(h *History, text []byte, several bool) error {
	f, err := l.fs.OpenFile(l.Path(), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && info.Size() > h.size { // a torn tail
		if err = f.Truncate(h.size); err == nil {
			err = f.Sync()
		}
	}
	first := text[0]
	if several {
		text[0] = 0
	}
	if err == nil {
		_, err = f.WriteAt(text, h.size)
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil && h.size == 0 { // the file may be new
		err = l.fs.SyncDir(l.dir)
	}
	if err == nil && several {
		if _, err = f.WriteAt([]byte{first}, h.size); err == nil {
			err = f.Sync()
		}
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
