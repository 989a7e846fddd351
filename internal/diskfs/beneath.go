package diskfs

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
)

// ErrIrregular says that a symbolic link, a FIFO, a device, a socket, or a directory in
// place of a file stands where a regular file or a directory was expected.
var ErrIrregular = errors.New("not a regular file or directory")

// Beneath returns the file system of this machine, confined to what lies below top. Names
// below top are resolved one element at a time: no symbolic link is followed, also not as
// the last element, and only regular files are opened, without waiting for the other end of
// a FIFO. What stands in the way is ErrIrregular, and stays as it is. A file that has
// several hard links is not opened for writing, since the write would change the file
// under its other names too. Names that are not below top, top itself and its parents among
// them, are those of [OS]: links on the way to top are followed.
//
// Its files are *os.File. It holds no file open between two calls.
func Beneath(top string) FS { return newBeneath(filepath.Clean(top)) }

// below splits a name into its elements below top; nil when it does not lie there.
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

// checkType refuses what is neither a regular file nor a directory.
func checkType(op, name string, info fs.FileInfo) error {
	if info.Mode().IsRegular() || info.Mode().Type() == fs.ModeDir {
		return nil
	}
	return irregular(op, name)
}
