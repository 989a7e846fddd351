package digstore

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// outDir is a directory that files are made in. It was opened through an os.Root, so it lies below the target of the
// checkout; files are made by one-part names, exclusively, and no link is followed.
type outDir struct {
	*os.Root
	self *os.File
}

func openOutDir(root *os.Root) (*outDir, error) {
	self, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	return &outDir{root, self}, nil
}

func (d *outDir) close() { _ = d.self.Close() }

// create makes a file that is not there, without the runtime's poller, which regular files have no use for.
func (d *outDir) create(base string) (rawOut, error) {
	for {
		fd, err := unix.Openat(int(d.self.Fd()), base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o666)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return -1, &fs.PathError{Op: "create", Path: base, Err: err}
		}
		return rawOut(fd), nil
	}
}

// rawOut is a new file.
type rawOut int

func (f rawOut) Write(b []byte) (int, error) {
	done := 0
	for done < len(b) {
		n, err := unix.Write(int(f), b[done:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return done, os.NewSyscallError("write", err)
		}
		done += n
	}
	return done, nil
}

func (f rawOut) close() error { return unix.Close(int(f)) }
