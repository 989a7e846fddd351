package diskfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/dig-network/digstore/internal/mkdirall"
)

// FS is a file system that can be written, synced and locked. Names are paths as
// package path/filepath has them. All methods may be called concurrently.
// Errors are *fs.PathError or *os.LinkError and match fs.ErrNotExist and fs.ErrExist.
type FS interface {
	// OpenFile is os.OpenFile. The caller closes the file.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// Rename is os.Rename: an existing file at newname is replaced.
	Rename(oldname, newname string) error
	// Remove removes a file or an empty directory.
	Remove(name string) error
	// Mkdir makes one directory, whose parent exists.
	Mkdir(name string, perm fs.FileMode) error
	// ReadDir lists a directory, sorted by name.
	ReadDir(name string) ([]fs.DirEntry, error)
	// Stat describes what name leads to.
	Stat(name string) (fs.FileInfo, error)
	// Lstat describes name itself: a link at its end is not followed.
	Lstat(name string) (fs.FileInfo, error)
	// SyncDir makes the names in a directory durable. Where the system has no such call it does
	// nothing.
	SyncDir(name string) error
	// TryLock takes the exclusive lock of the file name without waiting. A missing file is
	// created. Closing the result releases the lock, as does the end of the process. If the
	// lock is held the error is a *LockedError.
	TryLock(name string) (io.Closer, error)
}

// File is an open file. Methods that name an offset may be called concurrently.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.WriterAt
	io.Seeker
	io.Closer
	Stat() (fs.FileInfo, error)
	// Sync makes the file's data and size durable, not its name.
	Sync() error
	Truncate(size int64) error
}

// ErrLocked reports a lock that is held. Match with errors.Is.
var ErrLocked = errors.New("locked by another writer")

// LockedError is the error for a lock that is held.
type LockedError struct {
	Name string // the lock file
	PID  int    // process id of the holder; 0: unknown
}

// Error implements error.
func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("%s: %v", e.Name, ErrLocked)
	}
	return fmt.Sprintf("%s: %v (process %d)", e.Name, ErrLocked, e.PID)
}

// Is reports whether target is ErrLocked.
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// ReadFile reads the whole of name, which must not be longer than max bytes.
func ReadFile(fsys FS, name string, max int64) ([]byte, error) {
	f, err := fsys.OpenFile(name, readOnly, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > max {
		return nil, fmt.Errorf("read %s: %d bytes, want at most %d", name, info.Size(), max)
	}
	b := make([]byte, info.Size())
	n, err := io.ReadFull(f, b)
	if err == io.ErrUnexpectedEOF || err == io.EOF { // it shrank since Stat
		err = nil
	}
	return b[:n], err
}

// MkdirAll makes dir and the parents it needs, and syncs the directories that gained a name.
func MkdirAll(fsys FS, dir string, perm fs.FileMode) error {
	return mkdirall.MkdirAll(fsys, dir, perm)
}

// RemoveAll removes name and everything below it. A missing name is no error. Several calls may
// remove one name at once.
func RemoveAll(fsys FS, name string) error {
	err := fsys.Remove(name)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	list, lerr := fsys.ReadDir(name)
	if errors.Is(lerr, fs.ErrNotExist) { // another process removes it too
		return nil
	}
	if lerr != nil {
		return errors.Join(err, lerr)
	}
	for _, e := range list {
		if err := RemoveAll(fsys, filepath.Join(name, e.Name())); err != nil {
			return err
		}
	}
	err = fsys.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
