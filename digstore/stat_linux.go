package digstore

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/dig-network/digstore/internal/regular"
)

// rawFile is an open file without the runtime's poller, which regular files have no use for.
type rawFile int

func openRaw(name string) (rawFile, error) {
	for {
		fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		if err == unix.EINTR {
			continue
		}
		switch err {
		case nil:
		case unix.ELOOP, unix.ENOTDIR, unix.ENXIO: // a link, a file in place of a directory, a socket
			return -1, &fs.PathError{Op: "open", Path: name, Err: regular.ErrNotRegular}
		default:
			return -1, &fs.PathError{Op: "open", Path: name, Err: err}
		}
		f := rawFile(fd)
		st, err := f.fstat()
		if err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
			err = &fs.PathError{Op: "open", Path: name, Err: regular.ErrNotRegular}
		}
		if err != nil {
			f.close()
			return -1, err
		}
		return f, nil
	}
}

func (f rawFile) fstat() (unix.Stat_t, error) {
	var st unix.Stat_t
	err := unix.Fstat(int(f), &st)
	return st, os.NewSyscallError("fstat", err)
}

func (f rawFile) stat() (statKey, error) {
	st, err := f.fstat()
	return keyOfStat(&st), err
}

func keyOfStat(st *unix.Stat_t) statKey {
	return statKey{st.Size, st.Mtim.Nano(), st.Ctim.Nano(), st.Ino, st.Mode}
}

func (k statKey) regular() bool { return k.mode&unix.S_IFMT == unix.S_IFREG }

// since compares the file with how it was. The ctime of a file that has lost its name says nothing about its content.
func (f rawFile) since(before statKey) (still, replaced bool, err error) {
	st, err := f.fstat()
	now := keyOfStat(&st)
	if replaced = st.Nlink == 0; replaced {
		now.ctime = before.ctime
	}
	return now == before, replaced, err
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
