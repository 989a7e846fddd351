package diskfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/gofrs/flock"
)

// OS returns the file system of this machine. Its files are *os.File.
func OS() FS { return osFS{} }

type osFS struct{}

// InUse reports whether a file could not be renamed or removed because it is open, as on Windows.
func InUse(err error) bool { return errors.Is(err, ErrInUse) || inUse(err) }

// NoSpace reports whether a write failed because the disk is full or a quota is used up.
func NoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || noSpace(err)
}

// Free returns how many bytes a user without privileges can still write to the disk that has name.
// Where the system has no such call the error is errors.ErrUnsupported.
func Free(name string) (int64, error) {
	n, err := free(name)
	if err != nil {
		return 0, &fs.PathError{Op: "statfs", Path: name, Err: err}
	}
	return int64(min(n, math.MaxInt64)), nil
}

func (osFS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err // not a *os.File that is nil inside the interface
	}
	return f, nil
}

func (osFS) Rename(oldname, newname string) error {
	return whileBusy(func() error { return os.Rename(oldname, newname) })
}
func (osFS) Remove(name string) error {
	return whileBusy(func() error { return os.Remove(name) })
}
func (osFS) Mkdir(name string, perm fs.FileMode) error  { return os.Mkdir(name, perm) }
func (osFS) ReadDir(name string) ([]fs.DirEntry, error) { return os.ReadDir(name) }
func (osFS) Stat(name string) (fs.FileInfo, error)      { return os.Stat(name) }
func (osFS) Lstat(name string) (fs.FileInfo, error)     { return os.Lstat(name) }
func (osFS) SyncDir(name string) error                  { return syncDir(name) }

// TryLock locks with flock (LockFileEx on Windows). The holder writes its process id behind the
// first byte, which Windows locks, so that others can read it.
func (osFS) TryLock(name string) (io.Closer, error) {
	l := flock.New(name, flock.SetPermissions(0o600))
	ok, err := l.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	if !ok {
		return nil, &LockedError{Name: name, PID: readPID(name)}
	}
	if f, err := os.OpenFile(name, os.O_WRONLY, 0); err == nil { // the process id is for messages
		_, _ = f.WriteAt(pidLine(), 1)
		_ = f.Close()
	}
	return l, nil
}

func readPID(name string) int {
	f, err := os.Open(name)
	if err != nil {
		return 0
	}
	defer f.Close()
	return pidIn(f)
}

// pidLine returns the text that the holder of a lock writes into the lock file at byte 1.
func pidLine() []byte { return fmt.Appendf(nil, "%-10d\n", os.Getpid()) }

// pidIn returns the process id in a lock file; 0 if there is none.
func pidIn(f io.ReaderAt) int {
	b := make([]byte, 16)
	n, _ := f.ReadAt(b, 1)
	pid, err := strconv.Atoi(strings.Trim(string(b[:n]), " \n\x00"))
	if err != nil || pid < 0 {
		return 0
	}
	return pid
}

// noSuchCall reports whether a sync of a directory failed only because the file system has none.
func noSuchCall(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrInvalid)
}
