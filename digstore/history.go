package digstore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// history is roots.log as it was when it was looked at (the format is in loglines.go). The lines that index files
// cover (historyindex.go) are looked up in the files; those behind them, the tail, are here. It never changes and may
// be used by several goroutines.
//
// A line is the commit point of its generation. In a proven history its block in roots.proof is durable before it
// (proofs.go). One line is appended with one write and synced; what a crash leaves of such a write does not count, and
// the next writer cuts it off. Several lines are appended with a zero byte in the place of the first, where the history
// ends until they are synced and the byte is put right.
type history struct {
	s      *Store
	runs   []*rootRun          // one behind the other, from the beginning of the log
	lines  []module.Generation // the tail
	offs   []int64             // where each line of the tail begins
	at     map[merkle.Hash]int // in the tail
	past   uint64              // lines before the tail
	start  int64               // where the tail begins
	size   int64               // length of the part of the file that counts
	newest module.Generation   // when there is one
	last   int64               // where its line begins

	confirmed uint64 // lines that are known to be durable, of a proven history

	proven bool // every line is as roots.proof has it
	odd    bool // numbers in the file are not those of the lines, or lines follow each other with one root
}

// maxLog bounds roots.log: more than two million generations.
const maxLog = 256 << 20

// lastSecond is the end of the year 9999, in unix seconds: later times have no JSON.
const lastSecond = 253402300799

func (s *Store) logName() string { return filepath.Join(s.dir, "roots.log") }

// history returns roots.log, looked at again only when it has changed.
func (s *Store) history() (*history, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var stamp fileStamp
	info, err := s.w.fs.Stat(s.logName())
	switch {
	case err == nil:
		stamp = stampOf(info)
	case errors.Is(err, fs.ErrNotExist):
		stamp.known = true
	default:
		return nil, fmt.Errorf("read history: %w", err)
	}
	if s.hist != nil && stamp == s.histStamp {
		return s.hist, nil
	}
	h, err := s.readHistory()
	if err != nil {
		return nil, err
	}
	if h.size == stamp.size { // else a writer is at the last lines, and may end them without another size or time
		s.hist, s.histStamp = h, stamp
	}
	return h, nil
}

func (s *Store) forgetHistory() {
	s.mu.Lock()
	s.hist, s.histStamp = nil, fileStamp{}
	s.mu.Unlock()
}

// readHistory looks at roots.log: at the headers of its index files, and at the lines behind them.
func (s *Store) readHistory() (*history, error) {
	h, err := s.readLog()
	if err != nil && !errors.Is(err, ErrCorrupt) {
		return nil, fmt.Errorf("read history: %w", err)
	}
	return h, err
}

func (s *Store) readLog() (*history, error) {
	h := &history{s: s, at: map[merkle.Hash]int{}}
	p, err := s.openProofs()
	if err != nil {
		return nil, err
	}
	if p != nil {
		h.proven, h.confirmed = true, p.confirmed
		defer p.close()
	}
	f, err := s.w.fs.OpenFile(s.logName(), openRead, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if p != nil {
			_, err = p.check(s.logName(), nil, 0, 0, p.lines, true)
			return h, err
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
	if info.Size() > maxLog {
		return nil, corrupt(s.logName(), "%d bytes, at most %d are read", info.Size(), maxLog)
	}
	if h.runs, h.newest, err = s.openRuns(f, info.Size()); err != nil {
		return nil, err
	}
	if n := len(h.runs); n > 0 {
		r := h.runs[n-1]
		h.past, h.start, h.last = r.first+r.rows, r.to, r.last
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
	return h, nil
}

// readProven takes the tail from the bytes behind the index files.
func (h *history) readProven(p *proofs, text []byte) error {
	list, err := p.check(h.s.logName(), text, h.start, h.past, p.lines, true)
	if err != nil {
		return err
	}
	for _, l := range list {
		h.add(l.line, h.size)
		h.size = l.end
	}
	return nil
}

func (h *history) readUnproven(text []byte) error {
	end, odd, err := eachLine(h.s.logName(), text, h.past, func(g module.Generation, off int) bool {
		h.add(g, h.start+int64(off))
		return true
	})
	h.size, h.odd = h.start+int64(end), odd
	return err
}

func (h *history) add(g module.Generation, off int64) {
	h.at[g.Root] = len(h.lines)
	h.lines, h.offs = append(h.lines, g), append(h.offs, off)
}

// len returns how many generations there have been.
func (h *history) len() uint64 { return h.past + uint64(len(h.lines)) }

// head returns the newest generation, and false when there is none.
func (h *history) head() (module.Generation, bool) { return h.newest, h.len() > 0 }

// extend adds lines to roots.log, durably, all or none. The caller holds the store's lock and has read the
// history h under it. Of the last one the generation is held, of the others none. When it fails, the lines may be
// there all the same.
func (s *Store) extend(h *history, lines []module.Generation) error {
	if err := s.prove(h, lines, false); err != nil {
		return err
	}
	return s.extendProven(h, lines)
}

// extendProven is extend for lines that prove was called with.
func (s *Store) extendProven(h *history, lines []module.Generation) error {
	var text []byte
	for i, g := range lines {
		if want := h.len() + uint64(i); g.Number != want {
			return fmt.Errorf("append to history: generation %d, want %d", g.Number, want)
		}
		text = appendLine(text, g)
	}
	if len(text) == 0 {
		return nil
	}
	defer s.forgetHistory()
	if err := s.drop(h.len(), h.len()+uint64(len(lines))-1); err != nil {
		return fmt.Errorf("append to history: %w", err)
	}
	if err := s.append(h, text, len(lines) > 1); err != nil {
		return fmt.Errorf("append to history: %w", err)
	}
	if h.proven || h.len() == 0 {
		s.confirm(h.len() + uint64(len(lines)))
	}
	if len(h.lines)+len(lines) >= indexLines {
		if now, err := s.readHistory(); err == nil {
			s.index(now)
		}
	}
	return nil
}

// append writes text behind what counts of the log. With several lines their first byte is written last.
func (s *Store) append(h *history, text []byte, several bool) error {
	f, err := s.w.fs.OpenFile(s.logName(), openCreate, 0o644)
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
		err = s.w.fs.SyncDir(s.dir)
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
