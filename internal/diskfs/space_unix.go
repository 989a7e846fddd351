//go:build linux || darwin

package diskfs

import (
	"errors"

	"golang.org/x/sys/unix"
)

func noSpace(err error) bool { return errors.Is(err, unix.EDQUOT) }

func free(name string) (uint64, error) {
	var st unix.Statfs_t
	err := unix.Statfs(name, &st)
	for err == unix.EINTR {
		err = unix.Statfs(name, &st)
	}
	return st.Bavail * uint64(st.Bsize), err
}
