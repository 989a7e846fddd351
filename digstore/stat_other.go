//go:build !linux

package digstore

import (
	"fmt"
	"io"
	"os"
)

// keyOf makes do with what every system tells.
func keyOf(info os.FileInfo) statKey {
	return statKey{size: info.Size(), mtime: info.ModTime().UnixNano(), mode: uint32(info.Mode())}
}

type rawFile struct{ f *os.File }

func openRaw(name string) (rawFile, error) {
	f, err := os.Open(name)
	return rawFile{f}, err
}

func (f rawFile) stat() (statKey, error) {
	info, err := f.f.Stat()
	if err != nil {
		return statKey{}, err
	}
	if !info.Mode().IsRegular() {
		return statKey{}, fmt.Errorf("%s is not a regular file", info.Name())
	}
	return keyOf(info), nil
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
