package digstore

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/dig-network/digstore/digstore/internal/storedir"
	"github.com/dig-network/digstore/internal/diskfs"
)

// removedPrefix begins the name of the directory of a removed store; 32 random hex digits follow.
const removedPrefix = ".removed-"

// Remove removes a store from the workspace and deletes its files, its publisher key among them.
// This cannot be undone. It waits for a running writer until Options.LockWait has passed or ctx
// ends. No writer can begin after that. If it is interrupted after the workspace no longer lists
// the store, the next change of the workspace deletes the files.
//
// It has three steps: the directory gets a mark, which keeps writers out, and the workspace no
// longer lists the store; the directory is renamed to a name that no store has; the files are
// deleted. So a reader finds all files of a store, or none (ErrRemoved).
func (w *Workspace) Remove(ctx context.Context, nameOrID string) error {
	s, err := w.Store(nameOrID)
	if err != nil {
		return fmt.Errorf("remove store: %w", err)
	}
	l, err := s.dir.Lock(ctx)
	if err != nil {
		return fmt.Errorf("remove store: %w", err)
	}
	err = w.update(ctx, func(r *registry) error {
		mark := filepath.Join(s.dir.Path, storedir.RemovedMark)
		if err := diskfs.WriteFile(w.fs, mark, nil, 0o600); err != nil {
			return err
		}
		delete(r.Stores, s.name)
		if r.Active == s.name {
			r.Active = ""
		}
		return nil
	})
	if cerr := l.Close(); err == nil {
		// Windows cannot remove an open file; the mark keeps writers out
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("remove store: %w", err)
	}
	w.mu.Lock()
	delete(w.opened, s.name)
	w.mu.Unlock()
	s.dir.Packs.Close()
	if err := w.sweepRemoved(ctx); err != nil {
		return fmt.Errorf("remove store %s: %w", s.name, err)
	}
	return nil
}

// sweepRemoved deletes the files of removed stores.
func (w *Workspace) sweepRemoved(ctx context.Context) error {
	l, err := w.lock(ctx, filepath.Join(w.dot, "lock"))
	if err != nil {
		return err
	}
	var hidden []string
	r, err := readRegistry(w.fs, w.dot)
	if err == nil {
		hidden, err = w.hideRemoved(&r)
	}
	if cerr := l.Close(); err == nil {
		err = cerr
	}
	for _, dir := range hidden {
		if derr := diskfs.RemoveAll(w.fs, dir); err == nil {
			err = derr
		}
	}
	return err
}

// hideRemoved renames the directories of removed stores and returns those that are to be deleted,
// also those of interrupted removals. The caller holds the lock of the workspace, so that no store
// is made in their place meanwhile.
func (w *Workspace) hideRemoved(r *registry) (hidden []string, err error) {
	stores := filepath.Join(w.dot, "stores")
	list, err := w.fs.ReadDir(stores)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		dir := filepath.Join(stores, e.Name())
		if _, ok := r.Stores[e.Name()]; ok || !e.IsDir() {
			continue
		}
		if strings.HasPrefix(e.Name(), removedPrefix) {
			hidden = append(hidden, dir)
			continue
		}
		_, err := w.stores.FS.Stat(filepath.Join(dir, storedir.RemovedMark))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return hidden, err
		}
		to, err := w.hide(dir)
		if diskfs.InUse(err) { // Windows cannot rename a directory with an open file
			err = w.removeFiles(dir)
			to = dir
		}
		if err != nil {
			return hidden, err
		}
		hidden = append(hidden, to)
	}
	return hidden, nil
}

// hide renames the directory of a store to a name that no store has, durably.
func (w *Workspace) hide(dir string) (hidden string, err error) {
	var b [16]byte
	if _, err := io.ReadFull(w.rand, b[:]); err != nil {
		return "", err
	}
	hidden = filepath.Join(filepath.Dir(dir), removedPrefix+hex.EncodeToString(b[:]))
	if err := w.fs.Rename(dir, hidden); err != nil {
		return "", err
	}
	return hidden, w.fs.SyncDir(filepath.Dir(dir))
}

// removeFiles deletes the directory of a store. The mark is deleted last.
func (w *Workspace) removeFiles(dir string) error {
	list, err := w.fs.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		if e.Name() == storedir.RemovedMark {
			continue
		}
		if err := diskfs.RemoveAll(w.fs, filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	if err := w.fs.SyncDir(dir); err != nil {
		return err
	}
	return diskfs.RemoveAll(w.fs, dir)
}
