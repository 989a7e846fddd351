package diskfs

import (
	"errors"
	"time"

	"golang.org/x/sys/windows"
)

// busyWait bounds how long a name that is in use is tried again. Programs that look at new files,
// such as virus scanners and indexers, keep them open for moments.
const busyWait = 500 * time.Millisecond

func inUse(err error) bool { return errors.Is(err, windows.ERROR_SHARING_VIOLATION) }

// whileBusy tries an operation again while what it is about is open elsewhere. Windows says access
// denied where a file to be replaced is open.
func whileBusy(try func() error) error {
	deadline := time.Now().Add(busyWait)
	for wait := time.Millisecond; ; wait *= 2 {
		err := try()
		busy := inUse(err) || errors.Is(err, windows.ERROR_ACCESS_DENIED)
		if !busy || time.Now().Add(wait).After(deadline) {
			return err
		}
		time.Sleep(wait)
	}
}

func noSpace(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) ||
		errors.Is(err, windows.ERROR_DISK_QUOTA_EXCEEDED)
}

func free(name string) (uint64, error) {
	path, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return 0, err
	}
	var n uint64
	err = windows.GetDiskFreeSpaceEx(path, &n, nil, nil)
	return n, err
}
