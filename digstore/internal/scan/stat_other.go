//go:build !linux

package scan

import (
	"io"
	"os"

	"github.com/dig-network/digstore/internal/regular"
)

// keyOf returns the portable fields of a Stat and the change time.
func keyOf(info os.FileInfo, ctime int64) Stat {
	return Stat{
		Size:  info.Size(),
		Mtime: info.ModTime().UnixNano(),
		Ctime: ctime,
		Mode:  uint32(info.Mode()),
	}
}

func (k Stat) isRegular() bool { return os.FileMode(k.Mode).IsRegular() }

// A File is a regular file open for reading.
type File struct{ f *os.File }

// Open opens a file. If name is a link, or anything else but a regular file, the error is
// regular.ErrNotRegular.
func Open(name string) (File, error) {
	f, err := regular.Open(name)
	return File{f}, err
}

// Stat describes the file.
func (f File) Stat() (Stat, error) {
	info, err := f.f.Stat()
	if err != nil {
		return Stat{}, err
	}
	return keyOf(info, changeTimeIn(f.f, info)), nil
}

// Since compares the file with before. It ignores the change time, which also changes when the name
// of the file is removed. replaced is always false.
func (f File) Since(before Stat) (still, replaced bool, err error) {
	now, err := f.Stat()
	now.Ctime = before.Ctime
	return now == before, false, err
}

// ReadAt reads up to len(b) bytes at off. It returns 0 without an error at the end.
func (f File) ReadAt(b []byte, off int64) (int, error) {
	n, err := f.f.ReadAt(b, off)
	if err == io.EOF {
		err = nil
	}
	return n, err
}

// Close closes the file.
func (f File) Close() { _ = f.f.Close() }
