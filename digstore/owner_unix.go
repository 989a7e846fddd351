//go:build unix

package digstore

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// foreignOwner reports whether a file belongs to another user than the one that this process acts for, and to which.
// Where the file system has no owners, as one in memory, no file does.
func foreignOwner(info fs.FileInfo) (owner string, foreign bool) {
	var uid uint32
	switch st := info.Sys().(type) {
	case *syscall.Stat_t:
		uid = st.Uid
	case *unix.Stat_t:
		uid = st.Uid
	default:
		return "", false
	}
	return fmt.Sprintf("uid %d", uid), int(uid) != os.Geteuid()
}
