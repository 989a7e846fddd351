//go:build !linux

package digstore

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// statAt describes the file base in the directory dir, without following a link.
func statAt(_ *os.File, dir, base string) (statKey, error) {
	info, err := os.Lstat(filepath.Join(dir, base))
	if err != nil {
		return statKey{}, err
	}
	return keyOf(info), nil
}

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
