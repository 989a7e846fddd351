//go:build unix

package secretfile

import (
	"io/fs"
	"os"
	"syscall"
)

// hasModes says that permission bits mean something.
const hasModes = true

func user() int { return os.Geteuid() }

// owner returns whom a file belongs to; ok is false where the file system does not say.
func owner(info fs.FileInfo) (uid, gid int, ok bool) {
	if o, is := info.(owned); is {
		uid, gid = o.Owner()
		return uid, gid, true
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return int(st.Uid), int(st.Gid), true
}
