package scan

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/dig-network/digstore/internal/regular"
)

// A File is a regular file open for reading. It is a file descriptor, without the runtime's poller,
// which is useless for regular files.
type File int

// Open opens a file. If name is a link, or anything else but a regular file, the error is
// regular.ErrNotRegular.
func Open(name string) (File, error) {
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
		f := File(fd)
		st, err := f.fstat()
		if err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
			err = &fs.PathError{Op: "open", Path: name, Err: regular.ErrNotRegular}
		}
		if err != nil {
			f.Close()
			return -1, err
		}
		return f, nil
	}
}

func (f File) fstat() (unix.Stat_t, error) {
	var st unix.Stat_t
	err := unix.Fstat(int(f), &st)
	return st, os.NewSyscallError("fstat", err)
}

// Stat describes the file.
func (f File) Stat() (Stat, error) {
	st, err := f.fstat()
	return keyOfStat(&st), err
}

func keyOfStat(st *unix.Stat_t) Stat {
	return Stat{st.Size, st.Mtim.Nano(), st.Ctim.Nano(), st.Ino, st.Mode}
}

func (k Stat) isRegular() bool { return k.Mode&unix.S_IFMT == unix.S_IFREG }

// Since compares the file with before. still says that it looks the same, replaced that its name
// was removed. Removing the name changes the ctime and not the content, so Since then ignores the
// ctime.
func (f File) Since(before Stat) (still, replaced bool, err error) {
	st, err := f.fstat()
	now := keyOfStat(&st)
	if replaced = st.Nlink == 0; replaced {
		now.Ctime = before.Ctime
	}
	return now == before, replaced, err
}

// ReadAt reads up to len(b) bytes at off. It returns 0 without an error at the end.
func (f File) ReadAt(b []byte, off int64) (int, error) {
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

// Close closes the file.
func (f File) Close() { _ = unix.Close(int(f)) }
