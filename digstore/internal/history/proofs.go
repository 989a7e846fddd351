package history

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dig-network/digstore/digstore/internal/damage"
	"github.com/dig-network/digstore/digstore/internal/rootlog"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
)

const (
	proofFile   = "roots.proof"
	droppedFile = "roots.dropped"
)

func (l *Log) proofName() string { return filepath.Join(l.dir, proofFile) }

// proofs is the open file roots.proof.
type proofs struct {
	*rootlog.Proofs
	f diskfs.File
}

func (p *proofs) close() { _ = p.f.Close() }

// openProofs opens roots.proof. It returns nil if the file does not exist and need not exist.
func (l *Log) openProofs() (*proofs, error) {
	f, err := l.fs.OpenFile(l.proofName(), os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if l.o.MustProve == nil {
			return nil, nil
		}
		must, err := l.o.MustProve()
		if err == nil && must {
			err = damage.In(l.proofName(), "it is missing, and pins.json says that the history has proofs")
		}
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("read proofs: %w", err)
	}
	p := &proofs{f: f}
	info, err := f.Stat()
	if err != nil {
		err = fmt.Errorf("read proofs: %w", err)
	} else {
		p.Proofs, err = rootlog.OpenProofs(l.proofName(), l.Path(), f, info.Size())
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return p, nil
}

// HasProofs reports whether roots.proof exists.
func (l *Log) HasProofs() (bool, error) {
	p, err := l.openProofs()
	if p == nil || err != nil {
		return false, err
	}
	p.close()
	return true, nil
}

// Signed reports whether the block of a line says that a signature is stored. It is false if the
// history is not proven.
func (l *Log) Signed(number uint64) (bool, error) {
	p, err := l.openProofs()
	if p == nil || err != nil {
		return false, err
	}
	defer p.close()
	one, err := p.One(number)
	return one.Signed, err
}

// Prove writes, durably, the blocks of lines that follow the history h. signed says that a
// signature of the last one is stored. If the history is not proven, Prove does nothing.
func (l *Log) Prove(h *History, lines []module.Generation, signed bool) error {
	if len(lines) == 0 || h.Len() > 0 && !h.proven {
		return nil
	}
	if err := l.cutTail(h); err != nil {
		return fmt.Errorf("prove history: %w", err)
	}
	list := rootlog.Prove(h.size, lines)
	list[len(list)-1].Signed = signed
	if err := l.writeProofs(h.Len(), list, h.Len()); err != nil {
		return fmt.Errorf("prove history: %w", err)
	}
	return nil
}

// cutTail truncates roots.log after the last valid line, and makes the lines durable that are not
// confirmed.
func (l *Log) cutTail(h *History) error {
	f, err := l.fs.OpenFile(l.Path(), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() == h.size && h.confirmed >= h.Len() {
		return nil
	}
	if info.Size() > h.size {
		if err := f.Truncate(h.size); err != nil {
			return err
		}
	}
	return f.Sync()
}

// writeProofs replaces, durably, the blocks of the lines from first on, and writes a header with
// the number of confirmed lines.
func (l *Log) writeProofs(first uint64, list []rootlog.Proof, confirmed uint64) error {
	f, err := l.fs.OpenFile(l.proofName(), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() > int64(first+1)*rootlog.BlockSize {
		if err := f.Truncate(int64(first+1) * rootlog.BlockSize); err != nil {
			return err
		}
	}
	b := rootlog.AppendBlocks(make([]byte, 0, len(list)*rootlog.BlockSize), first, list)
	if _, err := f.WriteAt(rootlog.Header(confirmed), 0); err != nil {
		return err
	}
	if _, err := f.WriteAt(b, int64(first+1)*rootlog.BlockSize); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if info.Size() == 0 { // the file may be new
		if err := l.fs.SyncDir(l.dir); err != nil {
			return err
		}
	}
	return l.noteProven()
}

// confirm records the number of durable lines. It does not sync, and it ignores errors: without the
// record, later damage of these lines may look like a torn write.
func (l *Log) confirm(lines uint64) {
	f, err := l.fs.OpenFile(l.proofName(), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return
	}
	_, _ = f.WriteAt(rootlog.Header(lines), 0)
	_ = f.Close()
}

// Dropped returns the lines whose generations were dropped.
func (l *Log) Dropped() (rootlog.Dropped, error) {
	name := filepath.Join(l.dir, droppedFile)
	b, err := diskfs.ReadFile(l.fs, name, rootlog.MaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what was dropped: %w", err)
	}
	d, ok := rootlog.ParseDropped(b)
	if !ok {
		return nil, damage.In(name, "not a whole list")
	}
	return d, nil
}

// Drop records, durably, that the generations of the lines [first, behind) were dropped.
func (l *Log) Drop(first, behind uint64) error {
	if first >= behind {
		return nil
	}
	d, err := l.Dropped()
	if err != nil {
		return err
	}
	return l.SetDropped(d.With(first, behind))
}

// SetDropped replaces, durably, the list that Dropped returns.
func (l *Log) SetDropped(d rootlog.Dropped) error {
	return diskfs.WriteFile(l.fs, filepath.Join(l.dir, droppedFile), d.Marshal(), 0o644)
}

func (l *Log) noteProven() error {
	if l.o.Proven == nil {
		return nil
	}
	return l.o.Proven()
}
