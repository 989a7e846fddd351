//go:build !linux

package digstore

import (
	"io"
	"os"

	"github.com/dig-network/digstore/internal/regular"
)

// keyOf describes a file by what every system tells, and by its change time.
func keyOf(info os.FileInfo, ctime int64) statKey {
	return statKey{
		size:  info.Size(),
		mtime: info.ModTime().UnixNano(),
		ctime: ctime,
		mode:  uint32(info.Mode()),
	}
}

func (k statKey) regular() bool { return os.FileMode(k.mode).IsRegular() }

type rawFile struct{ f *os.File }

func openRaw(name string) (rawFile, error) {
	f, err := regular.Open(name)
	return rawFile{f}, err
}

func (f rawFile) stat() (statKey, error) {
	info, err := f.f.Stat()
	if err != nil {
		return statKey{}, err
	}
	return keyOf(info, changeTimeIn(f.f, info)), nil
}

// since compares the file with how it was. The change time does not count: it also moves when the
// file loses its name, which says nothing about its content.
func (f rawFile) since(before statKey) (still, replaced bool, err error) {
	now, err := f.stat()
	now.ctime = before.ctime
	return now == before, false, err
}

// readAt reads up to len(b) bytes at off; 0 at the end.
func (f rawFile) readAt(b []byte, off int64) (int, error) {
	n, err := f.f.ReadAt(b, off)
	if err == io.EOF {
		err = nil
	}
	return n, err
}

func (f rawFile) close() { _ = f.f.Close() }
