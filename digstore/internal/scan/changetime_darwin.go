package scan

import (
	"os"
	"syscall"
)

// changeTimeAt returns when the file at path was last changed, its data or its attributes. Unlike
// the modification time, programs do not set it. It is 0 where the file system does not say.
func changeTimeAt(_ string, info os.FileInfo) int64 {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	return st.Ctimespec.Nano()
}

// changeTimeIn is changeTimeAt for an open file.
func changeTimeIn(_ *os.File, info os.FileInfo) int64 { return changeTimeAt("", info) }
