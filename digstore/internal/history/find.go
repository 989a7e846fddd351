package history

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/dig-network/digstore/digstore/internal/damage"
	"github.com/dig-network/digstore/digstore/internal/rootlog"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// Find returns the line of a root. If the root has several lines, it returns the latest.
func (h *History) Find(root merkle.Hash) (g module.Generation, ok bool, err error) {
	if i, ok := h.at[root]; ok {
		return h.lines[i], true, nil
	}
	if h.past == 0 {
		return g, false, nil
	}
	f, err := h.open()
	if err != nil {
		return g, false, err
	}
	defer f.Close()
	if g, ok, err = h.lookUp(f, root); err == nil {
		return g, ok, nil
	}
	// The index is damaged, or another process has merged it. The next call reads it again.
	h.log.Forget()
	lines, err := h.scan(f, 0, h.past, 0, h.start)
	if err != nil {
		return g, false, fmt.Errorf("look for root %s in the history: %w", root, err)
	}
	for _, g := range slices.Backward(lines) {
		if g.Root == root {
			return g, true, nil
		}
	}
	return module.Generation{}, false, nil
}

// Repeated reports whether a root has more than one line in the history and in more together.
func (h *History) Repeated(root merkle.Hash, more []module.Generation) (bool, error) {
	n := 0
	for _, g := range more {
		if g.Root == root {
			n++
		}
	}
	last, ok, err := h.Find(root)
	if err != nil || !ok || n > 0 {
		return n > 1 || n > 0 && ok, err
	}
	for _, g := range h.lines {
		if g.Root == root && g.Number != last.Number {
			return true, nil
		}
	}
	if h.past == 0 {
		return false, nil
	}
	lines, err := h.Every()
	if err != nil {
		return false, err
	}
	other := func(g module.Generation) bool { return g.Root == root && g.Number != last.Number }
	return slices.ContainsFunc(lines, other), nil
}

// lookUp finds the latest line of a root among the lines that the index files cover.
func (h *History) lookUp(log io.ReaderAt, root merkle.Hash) (
	g module.Generation, ok bool, err error) {
	for _, r := range slices.Backward(h.runs) {
		offs, err := h.inRun(r, root)
		if err != nil {
			return g, false, err
		}
		slices.Sort(offs)
		for _, off := range slices.Backward(offs) {
			if g, err = h.lineAt(log, off); err != nil {
				return g, false, err
			}
			if g.Root == root {
				return g, true, nil
			}
		}
	}
	return module.Generation{}, false, nil
}

// lineAt reads the line that begins at off, before the tail.
func (h *History) lineAt(log io.ReaderAt, off int64) (module.Generation, error) {
	if !h.proven {
		return rootlog.LineAt(log, off)
	}
	p, err := h.log.openProofs()
	if err != nil {
		return module.Generation{}, err
	}
	if p == nil {
		return module.Generation{}, damage.In(h.log.proofName(), "it is missing")
	}
	defer p.close()
	return p.LineOf(log, off)
}

func (h *History) inRun(r *rootlog.Index, root merkle.Hash) ([]int64, error) {
	f, err := h.log.fs.OpenFile(filepath.Join(h.log.dir, indexDir, r.FileName()), os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	offs, err := r.Find(f, root)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.FileName(), err)
	}
	return offs, nil
}

// Line returns the line of a number, which must be below Len.
func (h *History) Line(n uint64) (module.Generation, error) {
	if n >= h.past {
		return h.lines[n-h.past], nil
	}
	lines, err := h.between(n, n+1)
	if err != nil {
		return module.Generation{}, err
	}
	return lines[0], nil
}

// Tail returns the last n lines, or all there are, oldest first.
func (h *History) Tail(n uint64) ([]module.Generation, error) {
	n = min(n, h.Len())
	if m := uint64(len(h.lines)); n <= m {
		return slices.Clone(h.lines[m-n:]), nil
	}
	lines, err := h.between(h.Len()-n, h.past)
	if err != nil {
		return nil, err
	}
	return append(lines, h.lines...), nil
}

// between returns the lines with numbers in [from, to), which must lie before the tail.
func (h *History) between(from, to uint64) ([]module.Generation, error) {
	f, err := h.open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var lines []module.Generation
	if h.proven {
		return h.scan(f, from, to, 0, 0)
	}
	if at, err := h.seek(f, from); err == nil {
		lines, err = h.scan(f, from, to, at, min(h.start, at+int64(to-from)*rootlog.MaxLine))
		if err == nil && uint64(len(lines)) >= to-from {
			return lines[: to-from : to-from], nil
		}
	}
	// The lines are not numbered consecutively: another program wrote the log.
	lines, err = h.scan(f, 0, h.past, 0, h.start)
	if err == nil && uint64(len(lines)) < to {
		err = damage.In(h.log.Path(), "%d lines where there were %d", len(lines), h.past)
	}
	if err != nil {
		return nil, fmt.Errorf("read history: %w", err)
	}
	return lines[from:to:to], nil
}

// seek returns the offset of line n, which must lie before the tail.
func (h *History) seek(f io.ReaderAt, n uint64) (int64, error) {
	for _, r := range h.runs {
		if n < r.First+r.Rows {
			return r.Seek(f, n)
		}
	}
	return 0, io.ErrUnexpectedEOF
}

// scan reads lines before the tail; the first has number next. In a proven history it reads the
// lines in [next, behind). Otherwise it reads the bytes [from, to) of the log.
func (h *History) scan(f io.ReaderAt, next, behind uint64, from, to int64) (
	lines []module.Generation, err error) {
	if h.proven {
		return h.scanProven(f, next, behind)
	}
	text := make([]byte, to-from)
	n, err := f.ReadAt(text, from)
	if err != nil && err != io.EOF {
		return nil, err
	}
	_, _, err = rootlog.Lines(text[:n], next, func(g module.Generation, _ int) bool {
		lines = append(lines, g)
		return true
	})
	if err != nil {
		err = fmt.Errorf("%s: %w", h.log.Path(), err)
	}
	return lines, err
}

func (h *History) scanProven(f io.ReaderAt, next, behind uint64) ([]module.Generation, error) {
	p, err := h.log.openProofs()
	if err != nil {
		return nil, err
	}
	if p == nil {
		return nil, damage.In(h.log.proofName(), "it is missing")
	}
	defer p.close()
	begin, err := p.Start(next)
	if err != nil {
		return nil, err
	}
	end, err := p.Start(behind)
	if err != nil {
		return nil, err
	}
	if end < begin {
		return nil, damage.In(h.log.proofName(), "line %d ends before line %d begins", behind-1, next)
	}
	text := make([]byte, end-begin)
	n, err := f.ReadAt(text, begin)
	if err != nil && err != io.EOF {
		return nil, err
	}
	list, err := p.Check(text[:n], begin, next, behind, false)
	if err != nil {
		return nil, err
	}
	if uint64(len(list)) != behind-next {
		return nil, damage.In(h.log.proofName(), "%d blocks from line %d on, want %d",
			len(list), next, behind-next)
	}
	lines := make([]module.Generation, len(list))
	for i, l := range list {
		lines[i] = l.Line
	}
	return lines, nil
}

func (h *History) open() (diskfs.File, error) {
	f, err := h.log.fs.OpenFile(h.log.Path(), os.O_RDONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("read history: %w", err)
	}
	return f, nil
}

// Every returns all lines. The caller must not change them. The Log caches them, so a later call
// reads only new lines.
func (h *History) Every() ([]module.Generation, error) {
	if h.past == 0 {
		return h.lines, nil
	}
	log := h.log
	log.fullMu.Lock()
	defer log.fullMu.Unlock()
	have := min(uint64(len(log.full)), h.Len())
	if have > 0 {
		if g, err := h.Line(have - 1); err != nil || g.Root != log.full[have-1].Root {
			have = 0
		}
	}
	if have < h.Len() {
		rest, err := h.Tail(h.Len() - have)
		if err != nil {
			return nil, err
		}
		log.full = append(log.full[:have], rest...) // no caller has a slice that reaches further
	}
	return log.full[:h.Len():h.Len()], nil
}
