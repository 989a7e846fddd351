package digstore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"time"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// history is roots.log as it was read: one line per generation, "number\troot\tunix seconds\n" (store-format 8.4).
//
// A line is the commit point of its generation. It is appended with one write and synced; what a crash leaves of such a
// write is a last line that does not parse or has no line feed, which does not count, and which the next writer cuts off.
// A change of several lines at once replaces the file.
type history struct {
	lines []module.Generation
	size  int64 // length of the part of the file that counts
	at    map[merkle.Hash]int
}

// parseHistory reads a roots.log. Only the last line may be torn.
func parseHistory(name string, text []byte) (*history, error) {
	h := &history{at: map[merkle.Hash]int{}}
	for off := 0; off < len(text); {
		end := bytes.IndexByte(text[off:], '\n')
		if end < 0 {
			break
		}
		line := text[off : off+end]
		if len(bytes.TrimSpace(line)) > 0 {
			g, err := parseLine(line)
			if err == nil && g.Number != uint64(len(h.lines)) {
				err = fmt.Errorf("number %d, want %d", g.Number, len(h.lines))
			}
			if err != nil {
				if off+end+1 == len(text) {
					break
				}
				return nil, corrupt(name, "line %d: %v", len(h.lines)+1, err)
			}
			h.at[g.Root] = len(h.lines)
			h.lines = append(h.lines, g)
		}
		off += end + 1
		h.size = int64(off)
	}
	return h, nil
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

// head returns the newest generation, and false when there is none.
func (h *history) head() (module.Generation, bool) {
	if len(h.lines) == 0 {
		return module.Generation{}, false
	}
	return h.lines[len(h.lines)-1], true
}

// find returns the line of a root.
func (h *history) find(root merkle.Hash) (module.Generation, bool) {
	i, ok := h.at[root]
	if !ok {
		return module.Generation{}, false
	}
	return h.lines[i], true
}

func (s *Store) logName() string { return filepath.Join(s.dir, "roots.log") }

// history returns roots.log, read again only when it has changed.
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
	s.hist, s.histStamp = h, stamp
	return h, nil
}

// maxLog bounds roots.log: more than two million generations.
const maxLog = 256 << 20

func (s *Store) readHistory() (*history, error) {
	text, err := diskfs.ReadFile(s.w.fs, s.logName(), maxLog)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read history: %w", err)
	}
	return parseHistory(s.logName(), text)
}

// extend adds lines to roots.log, durably, all or none. The caller holds the store's lock and has read the
// history h under it. When it fails, the lines may be there all the same.
func (s *Store) extend(h *history, lines []module.Generation) error {
	var text []byte
	for i, g := range lines {
		if want := uint64(len(h.lines) + i); g.Number != want {
			return fmt.Errorf("append to history: generation %d, want %d", g.Number, want)
		}
		text = appendLine(text, g)
	}
	defer s.forgetHistory()
	if len(lines) != 1 {
		old, err := diskfs.ReadFile(s.w.fs, s.logName(), maxLog)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("append to history: %w", err)
		}
		if int64(len(old)) < h.size {
			return corrupt(s.logName(), "shorter than it was")
		}
		if err := diskfs.WriteFile(s.w.fs, s.logName(), append(old[:h.size:h.size], text...), 0o644); err != nil {
			return fmt.Errorf("append to history: %w", err)
		}
		return nil
	}
	f, err := s.w.fs.OpenFile(s.logName(), openCreate, 0o644)
	if err != nil {
		return fmt.Errorf("append to history: %w", err)
	}
	info, err := f.Stat()
	if err == nil && info.Size() > h.size { // a torn tail
		if err = f.Truncate(h.size); err == nil {
			err = f.Sync()
		}
	}
	if err == nil {
		_, err = f.WriteAt(text, h.size)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil && h.size == 0 { // the file may be new
		err = s.w.fs.SyncDir(s.dir)
	}
	if err != nil {
		return fmt.Errorf("append to history: %w", err)
	}
	return nil
}

func (s *Store) forgetHistory() {
	s.mu.Lock()
	s.hist, s.histStamp = nil, fileStamp{}
	s.mu.Unlock()
}
