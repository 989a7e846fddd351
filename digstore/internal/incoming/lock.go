package incoming

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/dig-network/digstore/internal/diskfs"
)

const (
	lockExt  = ".lock"
	gateName = "lock"

	// gateWait is how long to wait for other processes that make or remove a directory.
	gateWait = 10 * time.Second
)

// lock makes the directory of a transfer if it is missing, and locks it. If another transfer holds
// the lock, the error is diskfs.ErrLocked.
func lock(ctx context.Context, fsys diskfs.FS, dir string) (io.Closer, error) {
	gate, err := lockGate(ctx, fsys, filepath.Dir(dir))
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

// remove removes the directory of a transfer, which must not have an open file, and releases its
// lock l.
func remove(fsys diskfs.FS, dir string, l io.Closer) error {
	// The directory is also removed after the context of the transfer has ended.
	gate, err := lockGate(context.Background(), fsys, filepath.Dir(dir))
	if err != nil {
		_ = l.Close()
		return err
	}
	defer gate.Close()
	return removeLocked(fsys, dir, l)
}

// Clear removes the directory of an interrupted transfer. If the transfer is running, the error is
// diskfs.ErrLocked. A missing directory is no error.
func Clear(ctx context.Context, fsys diskfs.FS, dir string) error {
	if _, err := fsys.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return clear(ctx, fsys, dir)
}

func clear(ctx context.Context, fsys diskfs.FS, dir string) error {
	gate, err := lockGate(ctx, fsys, filepath.Dir(dir))
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

// lockGate waits for the gate of the directory incoming, which is made if it is missing.
func lockGate(ctx context.Context, fsys diskfs.FS, incoming string) (io.Closer, error) {
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
		select {
		case <-ctx.Done():
			return nil, errors.Join(err, context.Cause(ctx))
		case <-time.After(time.Millisecond):
		}
	}
}

// Sweep removes the directories of interrupted transfers below the directory path. It keeps those
// of running transfers, and those for whose name keep is true.
func Sweep(ctx context.Context, fsys diskfs.FS, path string, keep func(name string) bool) error {
	list, err := fsys.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sweep %s: %w", path, err)
	}
	for _, e := range list {
		name := strings.TrimSuffix(e.Name(), lockExt)
		if e.Name() == gateName || keep(name) {
			continue
		}
		err := clear(ctx, fsys, filepath.Join(path, name))
		if err != nil && !errors.Is(err, diskfs.ErrLocked) && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("sweep: %w", err)
		}
	}
	return nil
}

// None is a function for Sweep that keeps nothing.
func None(string) bool { return false }

// Hold prevents new transfers below the directory path until the caller closes gate. It returns the
// number of running transfers.
func Hold(ctx context.Context, fsys diskfs.FS,
	path string) (gate io.Closer, running int, err error) {
	gate, err = lockGate(ctx, fsys, path)
	if err != nil {
		return nil, 0, fmt.Errorf("look for transfers: %w", err)
	}
	running, err = count(fsys, path)
	if err != nil {
		_ = gate.Close()
		return nil, 0, err
	}
	return gate, running, nil
}

// Running returns the number of running transfers below the directory path.
func Running(ctx context.Context, fsys diskfs.FS, path string) (int, error) {
	if _, err := fsys.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	gate, n, err := Hold(ctx, fsys, path)
	if err != nil {
		return 0, err
	}
	return n, gate.Close()
}

// count counts running transfers. The caller holds the gate.
func count(fsys diskfs.FS, path string) (n int, err error) {
	list, err := fsys.ReadDir(path)
	if err != nil {
		return 0, fmt.Errorf("look for transfers: %w", err)
	}
	for _, e := range list {
		if e.Name() == gateName || filepath.Ext(e.Name()) != lockExt {
			continue
		}
		l, err := fsys.TryLock(filepath.Join(path, e.Name()))
		if errors.Is(err, diskfs.ErrLocked) {
			n++
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("look for transfers: %w", err)
		}
		_ = l.Close()
	}
	return n, nil
}
