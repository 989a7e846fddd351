package scan

import (
	"os"
	"syscall"
)

// changeTimeAt returns when the data or the attributes of the file at path last changed. Unlike the
// modification time, programs cannot set it. It is 0 if the file system does not have it.
func changeTimeAt(_ string, info os.FileInfo) int64 {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	return st.Ctimespec.Nano()
}

// changeTimeIn is changeTimeAt for an open file.
func changeTimeIn(_ *os.File, info os.FileInfo) int64 { return changeTimeAt("", info) }
