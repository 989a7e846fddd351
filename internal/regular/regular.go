// Package regular opens files that must be regular files.
//
// A name that a user or a directory listing gives may belong to a pipe, which
// blocks its reader, or to a device, which has no end. [Open] and [ReadFile]
// refuse both without opening them.
package regular

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// ErrNotRegular is the reason of the *fs.PathError for a name that leads to
// something else than a regular file.
var ErrNotRegular = errors.New("not a regular file")

// Open opens a regular file for reading. Links are followed. It never waits
// for another process. The caller closes the file.
func Open(name string) (*os.File, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if err := Check(name, info); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(name, os.O_RDONLY|nonBlocking, 0)
	if err != nil {
		return nil, err
	}
	info, err = f.Stat() // the name may lead to another file by now
	if err == nil {
		err = Check(name, info)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// Check returns an error that matches ErrNotRegular unless info is of a regular file.
func Check(name string, info fs.FileInfo) error {
	if info.Mode().IsRegular() {
		return nil
	}
	return &fs.PathError{Op: "open", Path: name, Err: ErrNotRegular}
}

// ReadFile reads the whole of a regular file of at most max bytes.
func ReadFile(name string, max int64) ([]byte, error) {
	f, err := Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, max+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > max {
		return nil, fmt.Errorf("read %s: more than %d bytes", name, max)
	}
	return b, nil
}
