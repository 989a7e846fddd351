package diskfs

import (
	"io/fs"
	"os"
)

// SameFile reports whether two results of [FS.Stat] or [FS.Lstat] of one file system describe
// one file or directory, as os.SameFile does. Where that is not known it is true. The number by
// which a disk knows a file can be used again once the file is removed.
func SameFile(a, b fs.FileInfo) bool {
	if a, ok := a.(interface{ sameFile(fs.FileInfo) bool }); ok {
		return a.sameFile(b)
	}
	if !os.SameFile(a, a) {
		return true // not of package os
	}
	return os.SameFile(a, b)
}
