package scan

import (
	"encoding/binary"
	"io/fs"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// listing is an open directory and what is in it.
type listing struct {
	fd      int
	path    string
	entries []entry
}

// openListing reads a directory. It makes the system calls itself because os.ReadDir uses the
// poller, sorts, and allocates for each entry. buf is scratch space. follow says whether path may
// be a link.
func openListing(path string, buf []byte, follow bool) (*listing, error) {
	flags := unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC
	if !follow {
		flags |= unix.O_NOFOLLOW
	}
	fd, err := unix.Open(path, flags, 0)
	for err == unix.EINTR {
		fd, err = unix.Open(path, flags, 0)
	}
	switch err {
	case nil:
	case unix.ELOOP, unix.ENOTDIR:
		return nil, &fs.PathError{Op: "open", Path: path, Err: errNotDirectory}
	default:
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	l := &listing{fd: fd, path: path}
	for {
		n, err := unix.Getdents(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			l.close()
			return nil, &fs.PathError{Op: "readdir", Path: path, Err: err}
		}
		if n <= 0 {
			return l, nil
		}
		if err := l.parse(buf[:n]); err != nil {
			l.close()
			return nil, err
		}
	}
}

// parse reads linux_dirent64 records: u64 inode, i64 offset, u16 length of the record, u8 type,
// name, NUL.
func (l *listing) parse(b []byte) error {
	const header = int(unsafe.Offsetof(unix.Dirent{}.Name))
	for len(b) >= header {
		n := int(binary.NativeEndian.Uint16(b[16:]))
		if n < header || n > len(b) {
			break
		}
		name := b[header:n]
		for i, c := range name {
			if c == 0 {
				name = name[:i]
				break
			}
		}
		kind := b[18]
		b = b[n:]
		if string(name) == "." || string(name) == ".." {
			continue
		}
		e := entry{name: string(name)}
		switch kind {
		case unix.DT_REG:
			e.file = true
		case unix.DT_DIR:
			e.dir = true
		case unix.DT_UNKNOWN: // the file system does not report types
			var st unix.Stat_t
			if err := l.fstatat(e.name, &st); err != nil {
				if err == unix.ENOENT {
					continue
				}
				return &fs.PathError{Op: "stat", Path: l.path + "/" + e.name, Err: err}
			}
			e.file, e.dir = st.Mode&unix.S_IFMT == unix.S_IFREG, st.Mode&unix.S_IFMT == unix.S_IFDIR
		}
		l.entries = append(l.entries, e)
	}
	return nil
}

func (l *listing) fstatat(base string, st *unix.Stat_t) error {
	for {
		if err := unix.Fstatat(l.fd, base, st, unix.AT_SYMLINK_NOFOLLOW); err != unix.EINTR {
			return err
		}
	}
}

// stat implements directory.
func (l *listing) stat(i int) (k Stat, regular bool, err error) {
	base := l.entries[i].name
	var st unix.Stat_t
	if err := l.fstatat(base, &st); err != nil {
		path := l.path + string(os.PathSeparator) + base
		return Stat{}, false, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	k = keyOfStat(&st)
	return k, k.isRegular(), nil
}

func (l *listing) close() { _ = unix.Close(l.fd) }
