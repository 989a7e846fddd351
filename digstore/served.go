package digstore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/dig-network/digstore/internal/diskfs"
)

func (w *Workspace) servingName(port int) string {
	return filepath.Join(w.dot, fmt.Sprintf("serving-%d.lock", port))
}

// MarkServing records that this process serves the workspace at a TCP port of this machine, until
// the result is closed or the process ends: see ServedAt. A second mark for the port is ErrLocked.
func (w *Workspace) MarkServing(port int) (io.Closer, error) {
	name := w.servingName(port)
	l, err := w.fs.TryLock(name)
	if err != nil {
		return nil, fmt.Errorf("mark the workspace as served: %w", err)
	}
	return &servingMark{l, w.fs, name}, nil
}

// ServedAt reports whether a process of this machine has marked the workspace as served at a port.
// A push to that port would go to the same store.
func (w *Workspace) ServedAt(port int) (bool, error) {
	name := w.servingName(port)
	if _, err := w.fs.Stat(name); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	l, err := w.fs.TryLock(name)
	if errors.Is(err, diskfs.ErrLocked) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("check whether the workspace is served: %w", err)
	}
	return false, (&servingMark{l, w.fs, name}).Close() // of a process that was killed
}

// servingMark is a held mark: its lock and its file.
type servingMark struct {
	lock io.Closer
	fs   diskfs.FS
	name string
}

// Close releases the lock and removes the file.
func (m *servingMark) Close() error {
	err := m.lock.Close()
	if rerr := m.fs.Remove(m.name); !errors.Is(rerr, fs.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	return err
}
