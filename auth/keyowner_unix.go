//go:build unix

package auth

import (
	"io/fs"
	"os"
	"syscall"
)

// isOurs reports whether a file belongs to this user, or to root, who can read every key anyway.
func isOurs(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return !ok || st.Uid == 0 || int(st.Uid) == os.Geteuid()
}
