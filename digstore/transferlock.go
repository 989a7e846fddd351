package digstore

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/dig-network/digstore/internal/diskfs"
)

// A directory below incoming/ belongs to whoever holds its lock. The lock of incoming/NAME is the file
// incoming/NAME.lock: beside the directory, because Windows removes no directory that has an open file.
// The file incoming/lock is locked while a directory is made, or is removed together with its lock, so
// that the lock that a process holds is always the file that others find under its name.

const (
	lockExt  = ".lock"
	gateName = "lock"

	// gateWait bounds the waiting for other processes that make or remove a directory, which takes moments.
	gateWait = 10 * time.Second
)

// lockTransfer makes the directory dir below incoming/ where it is missing, and locks it.
// While another transfer holds it the error is diskfs.ErrLocked.
func lockTransfer(fsys diskfs.FS, dir string) (io.Closer, error) {
	gate, err := lockGate(fsys, filepath.Dir(dir))
	if err != nil {
		return nil, err
	}
	defer gate.Close()
	l, err := fsys.TryLock(dir + lockExt)
	if err != nil {
		return nil, err
	}
	if err := diskfs.MkdirAll(fsys, dir, 0o755); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// removeTransfer removes dir, whose lock l is and which has no open file, and lets go of the lock.
func removeTransfer(fsys diskfs.FS, dir string, l io.Closer) error {
	gate, err := lockGate(fsys, filepath.Dir(dir))
	if err != nil {
		_ = l.Close()
		return err
	}
	defer gate.Close()
	return removeLocked(fsys, dir, l)
}

// clearTransfer removes what a transfer left in dir. While it goes on the error is diskfs.ErrLocked.
func clearTransfer(fsys diskfs.FS, dir string) error {
	gate, err := lockGate(fsys, filepath.Dir(dir))
	if err != nil {
		return err
	}
	defer gate.Close()
	l, err := fsys.TryLock(dir + lockExt)
	if err != nil {
		return err
	}
	return removeLocked(fsys, dir, l)
}

// removeLocked removes dir and then its lock. The caller holds the gate.
func removeLocked(fsys diskfs.FS, dir string, l io.Closer) error {
	err := diskfs.RemoveAll(fsys, dir)
	if cerr := l.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return fsys.Remove(dir + lockExt)
}

// lockGate waits for the gate of the directory incoming, which is made when it is missing.
func lockGate(fsys diskfs.FS, incoming string) (io.Closer, error) {
	if err := diskfs.MkdirAll(fsys, incoming, 0o755); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(gateWait); ; {
		l, err := fsys.TryLock(filepath.Join(incoming, gateName))
		if !errors.Is(err, diskfs.ErrLocked) {
			return l, err
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("locked for %v: %w", gateWait, err)
		}
		time.Sleep(time.Millisecond)
	}
}
