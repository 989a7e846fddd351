package diskfs

import (
	"os"

	"golang.org/x/sys/unix"
)

// StartWriteback asks the system to begin writing n bytes at off to the disk, without waiting, so
// that a later Sync takes less time. Where the system or the file has no such call it does nothing.
func StartWriteback(f File, off, n int64) {
	if osf, ok := f.(*os.File); ok {
		if c, err := osf.SyscallConn(); err == nil {
			_ = c.Control(func(fd uintptr) {
				_ = unix.SyncFileRange(int(fd), off, n, unix.SYNC_FILE_RANGE_WRITE)
			})
		}
	}
}
