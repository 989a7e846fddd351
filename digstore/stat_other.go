//go:build !linux

package digstore

import (
	"io"
	"os"

	"github.com/dig-network/digstore/internal/regular"
)

// keyOf makes do with what every system tells.
func keyOf(info os.FileInfo) statKey {
	return statKey{size: info.Size(), mtime: info.ModTime().UnixNano(), mode: uint32(info.Mode())}
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
	return keyOf(info), nil
}

// since compares the file with how it was.
func (f rawFile) since(before statKey) (still, replaced bool, err error) {
	now, err := f.stat()
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
