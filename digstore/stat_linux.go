package digstore

import (
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// rawFile is an open file without the runtime's poller, which regular files have no use for.
type rawFile int

func openRaw(name string) (rawFile, error) {
	for {
		fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return -1, &fs.PathError{Op: "open", Path: name, Err: err}
		}
		return rawFile(fd), nil
	}
}

func (f rawFile) stat() (statKey, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f), &st); err != nil {
		return statKey{}, os.NewSyscallError("fstat", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return statKey{}, os.NewSyscallError("read", syscall.EINVAL)
	}
	return statKey{st.Size, st.Mtim.Nano(), st.Ctim.Nano(), st.Ino, st.Mode}, nil
}

// readAt reads up to len(b) bytes at off; 0 at the end.
func (f rawFile) readAt(b []byte, off int64) (int, error) {
	for {
		n, err := unix.Pread(int(f), b, off)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, os.NewSyscallError("read", err)
		}
		return n, nil
	}
}

func (f rawFile) close() { _ = unix.Close(int(f)) }
