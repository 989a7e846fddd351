package secretfile

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"
)

const (
	sharingViolation = syscall.Errno(32)
	busyWait         = 500 * time.Millisecond // as in internal/diskfs
)

// openFile waits up to busyWait for a file that others have open without sharing it. A rename does
// so for a moment.
func openFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	deadline := time.Now().Add(busyWait)
	for wait := time.Millisecond; ; wait *= 2 {
		f, err := os.OpenFile(name, flag, perm)
		if !errors.Is(err, sharingViolation) || time.Now().Add(wait).After(deadline) {
			return f, err
		}
		time.Sleep(wait)
	}
}

// renameFile uses MoveFile, which fails where the name is taken. A link would leave the old
// name: Windows does not remove one name of a file while a reader has another one open.
func renameFile(oldname, newname string) error {
	from, err := syscall.UTF16PtrFromString(oldname)
	if err != nil {
		return err
	}
	to, err := syscall.UTF16PtrFromString(newname)
	if err != nil {
		return err
	}
	if err := syscall.MoveFile(from, to); err != nil {
		return &os.LinkError{Op: "rename", Old: oldname, New: newname, Err: err}
	}
	return nil
}

func syncDir(string) error { return nil }
