package digstore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"

	"github.com/dig-network/digstore/internal/diskfs"
)

// storeFS is the file system of a workspace. Calls on files of a store whose directory was removed,
// or removed and made again, since the store was opened, return ErrRemoved. Otherwise readers would
// regard a removed file as missing or damaged, and would mix the files of two stores.
type storeFS struct {
	diskfs.FS
	stores string // .dig/stores

	mu   sync.Mutex
	dirs map[string]fs.FileInfo // the directories of stores that are open, by name
}

// opened records the directory of a store that is being opened.
func (f *storeFS) opened(name string) error {
	f.forget(name)
	info, err := f.FS.Stat(filepath.Join(f.stores, name))
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.dirs[name] = info
	f.mu.Unlock()
	return nil
}

// forget removes the record of opened.
func (f *storeFS) forget(name string) {
	f.mu.Lock()
	delete(f.dirs, name)
	f.mu.Unlock()
}

// confirm returns ErrRemoved after a call on a file of a store that was removed since it was
// opened: the file is that of another store, or the call failed because the directory was removed.
// Otherwise it returns err, the result of the call.
func (f *storeFS) confirm(name string, err error) error {
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	rel, rerr := filepath.Rel(f.stores, name)
	if rerr != nil || !filepath.IsLocal(rel) {
		return err
	}
	store, _, _ := strings.Cut(rel, string(filepath.Separator))
	f.mu.Lock()
	was := f.dirs[store]
	f.mu.Unlock()
	if was == nil {
		return err
	}
	if f.same(store, was) {
		return err
	}
	return fmt.Errorf("store %s: %w", store, ErrRemoved)
}

// same reports whether the directory of a store is still was.
func (f *storeFS) same(store string, was fs.FileInfo) bool {
	is, err := f.FS.Stat(filepath.Join(f.stores, store))
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	return diskfs.SameFile(was, is)
}

// current reports whether the directory of a store is the one that was opened.
func (f *storeFS) current(store string) bool {
	f.mu.Lock()
	was := f.dirs[store]
	f.mu.Unlock()
	return was != nil && f.same(store, was)
}

func (f *storeFS) OpenFile(name string, flag int, perm fs.FileMode) (diskfs.File, error) {
	file, err := f.FS.OpenFile(name, flag, perm)
	if cerr := f.confirm(name, err); cerr != nil {
		if err == nil {
			_ = file.Close()
		}
		return nil, cerr
	}
	return file, nil
}

func (f *storeFS) Stat(name string) (fs.FileInfo, error) {
	info, err := f.FS.Stat(name)
	return info, f.confirm(name, err)
}

func (f *storeFS) Lstat(name string) (fs.FileInfo, error) {
	info, err := f.FS.Lstat(name)
	return info, f.confirm(name, err)
}

func (f *storeFS) ReadDir(name string) ([]fs.DirEntry, error) {
	list, err := f.FS.ReadDir(name)
	return list, f.confirm(name, err)
}

func (f *storeFS) Mkdir(name string, perm fs.FileMode) error {
	return f.confirm(name, f.FS.Mkdir(name, perm))
}

func (f *storeFS) TryLock(name string) (io.Closer, error) {
	l, err := f.FS.TryLock(name)
	if cerr := f.confirm(name, err); cerr != nil {
		if err == nil {
			_ = l.Close()
		}
		return nil, cerr
	}
	return l, nil
}

// RenameNew is diskfs.RenameNew.
func (f *storeFS) RenameNew(oldname, newname string) error {
	return diskfs.RenameNew(f.FS, oldname, newname)
}
