package diskfs

import (
	"errors"
	"fmt"
	"io/fs"
)

// ErrNotRegular reports a link, a directory, a FIFO or a device where a regular file was expected.
// It was not opened.
var ErrNotRegular = errors.New("not a regular file")

// OpenRegular is OpenFile for a file in a directory that other users may have written. A link as
// the last element of name is not followed, and a FIFO or a device is not opened: the error is
// ErrNotRegular. It also returns the size. It does not create a missing file; flag must not have
// os.O_CREATE.
func OpenRegular(fsys FS, name string, flag int) (File, int64, error) {
	refused := &fs.PathError{Op: "open", Path: name, Err: ErrNotRegular}
	before, err := fsys.Lstat(name)
	if err != nil {
		return nil, 0, err
	}
	if !before.Mode().IsRegular() {
		return nil, 0, refused
	}
	f, err := fsys.OpenFile(name, flag|noFollow, 0) // it may have been replaced since
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = refused
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// ReadRegular reads the whole of a regular file, as OpenRegular opens it, of at most max bytes.
func ReadRegular(fsys FS, name string, max int64) ([]byte, error) {
	f, size, err := OpenRegular(fsys, name, readOnly)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > max {
		return nil, fmt.Errorf("read %s: %d bytes, want at most %d", name, size, max)
	}
	b := make([]byte, size)
	n, err := f.ReadAt(b, 0)
	if n == len(b) {
		err = nil
	}
	return b[:n], err
}
