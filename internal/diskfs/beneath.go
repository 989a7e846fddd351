package diskfs

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
)

// ErrIrregular reports a symbolic link, a FIFO, a device or a socket where a regular file or a
// directory was expected, or a directory where a file was.
var ErrIrregular = errors.New("not a regular file or directory")

// Beneath returns the file system of this machine, confined to what lies below top. Names
// below top are resolved one element at a time: no symbolic link is followed, also not as
// the last element, and only regular files are opened, without waiting for the other end of
// a FIFO. Anything else is ErrIrregular and is not changed. A file that has several hard
// links is not opened for writing, since the write would change the file under its other
// names too. Names outside top, and top itself, are handled as by [OS]: links on the way to
// top are followed.
//
// Its files are *os.File. It holds no file open between two calls.
func Beneath(top string) FS { return newBeneath(filepath.Clean(top)) }

// below returns the elements of a name below top; nil for a name outside top.
func below(top, name string) []string {
	rel, err := filepath.Rel(top, name)
	if err != nil || rel == "." || !filepath.IsLocal(rel) {
		return nil
	}
	return strings.Split(rel, string(filepath.Separator))
}

func irregular(op, name string) error {
	return &fs.PathError{Op: op, Path: name, Err: ErrIrregular}
}

// checkType refuses anything but regular files and directories.
func checkType(op, name string, info fs.FileInfo) error {
	if info.Mode().IsRegular() || info.Mode().Type() == fs.ModeDir {
		return nil
	}
	return irregular(op, name)
}
