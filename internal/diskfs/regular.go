package diskfs

import (
	"errors"
	"fmt"

	"github.com/dig-network/digstore/internal/regular"
)

// OpenRegular is OpenFile for a file in a directory that other users may have written. A link as
// the last element of name is not followed, and a FIFO or a device is not opened: the error is
// regular.ErrNotRegular. It also returns the size. It does not create a missing file; flag must not
// have os.O_CREATE.
func OpenRegular(fsys FS, name string, flag int) (File, int64, error) {
	info, err := fsys.Lstat(name)
	if err == nil {
		err = regular.Check(name, info)
	}
	if err != nil {
		return nil, 0, err
	}
	f, err := fsys.OpenFile(name, flag|noFollow, 0) // it may have been replaced since
	if err != nil {
		return nil, 0, err
	}
	info, err = f.Stat()
	if err == nil {
		err = regular.Check(name, info)
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
