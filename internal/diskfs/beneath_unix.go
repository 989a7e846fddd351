//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package diskfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func newBeneath(top string) FS { return beneath{top: top} }

// beneath opens every directory on the way by a descriptor of its parent.
type beneath struct {
	osFS
	top string
}

const openDir = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

// again repeats a system call that a signal has interrupted.
func again(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

func openat(dir int, name string, flag int, perm uint32) (fd int, err error) {
	err = again(func() error {
		fd, err = unix.Openat(dir, name, flag, perm)
		return err
	})
	return fd, err
}

// dir opens the directory with these elements below top. The caller closes it.
func (b beneath) dir(op, name string, parts []string) (int, error) {
	at, err := openat(unix.AT_FDCWD, b.top, openDir&^unix.O_NOFOLLOW, 0)
	if err != nil {
		return -1, &fs.PathError{Op: op, Path: name, Err: err}
	}
	for _, part := range parts {
		next, err := openat(at, part, openDir, 0)
		_ = unix.Close(at)
		if err != nil {
			return -1, pathError(op, name, err)
		}
		at = next
	}
	return at, nil
}

// pathError makes ErrIrregular of what the system says about links and special files.
func pathError(op, name string, err error) error {
	switch err {
	case unix.ELOOP, unix.EMLINK, unix.ENOTDIR, unix.EISDIR, unix.ENXIO:
		return irregular(op, name)
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// in calls do with the directory that holds name.
func (b beneath) in(op, name string, parts []string, do func(dir int, base string) error) error {
	last := len(parts) - 1
	dir, err := b.dir(op, name, parts[:last])
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	return do(dir, parts[last])
}

func (b beneath) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	parts := below(b.top, name)
	if parts == nil {
		return b.osFS.OpenFile(name, flag, perm)
	}
	f, err := b.open(name, parts, flag, perm)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (b beneath) open(name string, parts []string, flag int, perm fs.FileMode) (*os.File, error) {
	fd := -1
	err := b.in("open", name, parts, func(dir int, base string) (err error) {
		how := flag&^os.O_TRUNC | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
		if fd, err = openat(dir, base, how, uint32(perm.Perm())); err != nil {
			return pathError("open", name, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := settle(fd, name, flag); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// settle checks a file that was just opened, and does what could not be done before that.
func settle(fd int, name string, flag int) error {
	var st unix.Stat_t
	if err := again(func() error { return unix.Fstat(fd, &st) }); err != nil {
		return &fs.PathError{Op: "open", Path: name, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return irregular("open", name)
	}
	if flag&(os.O_WRONLY|os.O_RDWR) != 0 && st.Nlink > 1 {
		return &fs.PathError{Op: "open for writing", Path: name, Err: errHardLinks}
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFL, flag&unix.O_APPEND); err != nil {
		return &fs.PathError{Op: "open", Path: name, Err: err}
	}
	if flag&os.O_TRUNC == 0 || st.Size == 0 {
		return nil
	}
	if err := again(func() error { return unix.Ftruncate(fd, 0) }); err != nil {
		return &fs.PathError{Op: "truncate", Path: name, Err: err}
	}
	return nil
}

type hardLinksError struct{}

var errHardLinks hardLinksError

func (hardLinksError) Error() string        { return "it has other names too (hard links)" }
func (hardLinksError) Is(target error) bool { return target == ErrIrregular }

func (b beneath) Rename(oldname, newname string) error {
	from, to := below(b.top, oldname), below(b.top, newname)
	if from == nil || to == nil {
		return b.osFS.Rename(oldname, newname)
	}
	return b.in("rename", oldname, from, func(dir int, base string) error {
		return b.in("rename", newname, to, func(newDir int, newBase string) error {
			err := again(func() error { return unix.Renameat(dir, base, newDir, newBase) })
			if err != nil {
				return &os.LinkError{Op: "rename", Old: oldname, New: newname, Err: err}
			}
			return nil
		})
	})
}

// RenameNew makes a hard link and removes the old name; where the file system has no hard links it
// checks and renames.
func (b beneath) RenameNew(oldname, newname string) error {
	from, to := below(b.top, oldname), below(b.top, newname)
	if from == nil || to == nil {
		return RenameNew(b.osFS, oldname, newname)
	}
	return b.in("rename", oldname, from, func(dir int, base string) error {
		return b.in("rename", newname, to, func(newDir int, newBase string) error {
			err := again(func() error { return unix.Linkat(dir, base, newDir, newBase, 0) })
			switch err {
			case nil:
				err = again(func() error { return unix.Unlinkat(dir, base, 0) })
				if err == unix.ENOENT { // another process has removed it
					err = nil
				}
			case unix.EPERM, unix.ENOTSUP, unix.ENOSYS, unix.EMLINK:
				return RenameNew(struct{ FS }{b}, oldname, newname)
			}
			if err != nil {
				return &os.LinkError{Op: "rename", Old: oldname, New: newname, Err: err}
			}
			return nil
		})
	})
}

func (b beneath) Remove(name string) error {
	parts := below(b.top, name)
	if parts == nil {
		return b.osFS.Remove(name)
	}
	return b.in("remove", name, parts, func(dir int, base string) error {
		err := again(func() error { return unix.Unlinkat(dir, base, 0) })
		if err == unix.EISDIR || err == unix.EPERM {
			rmdir := again(func() error { return unix.Unlinkat(dir, base, unix.AT_REMOVEDIR) })
			if rmdir != unix.ENOTDIR {
				err = rmdir
			}
		}
		if err != nil {
			return &fs.PathError{Op: "remove", Path: name, Err: err}
		}
		return nil
	})
}

func (b beneath) Mkdir(name string, perm fs.FileMode) error {
	parts := below(b.top, name)
	if parts == nil {
		return b.osFS.Mkdir(name, perm)
	}
	return b.in("mkdir", name, parts, func(dir int, base string) error {
		err := again(func() error { return unix.Mkdirat(dir, base, uint32(perm.Perm())) })
		if err != nil {
			return &fs.PathError{Op: "mkdir", Path: name, Err: err}
		}
		return nil
	})
}

func (b beneath) ReadDir(name string) ([]fs.DirEntry, error) {
	parts := below(b.top, name)
	if parts == nil {
		return b.osFS.ReadDir(name)
	}
	fd, err := b.dir("readdir", name, parts)
	if err != nil {
		return nil, err
	}
	d := os.NewFile(uintptr(fd), name)
	defer d.Close()
	list, err := d.ReadDir(-1)
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list, err
}

// Stat is Lstat; a link or special file is ErrIrregular.
func (b beneath) Stat(name string) (fs.FileInfo, error) {
	if below(b.top, name) == nil {
		return b.osFS.Stat(name)
	}
	info, err := b.Lstat(name)
	if err == nil {
		err = checkType("stat", name, info)
	}
	if err != nil {
		return nil, err
	}
	return info, nil
}

func (b beneath) Lstat(name string) (fs.FileInfo, error) {
	parts := below(b.top, name)
	if parts == nil {
		return b.osFS.Lstat(name)
	}
	info := &unixInfo{name: filepath.Base(name)}
	err := b.in("lstat", name, parts, func(dir int, base string) error {
		err := again(func() error { return unix.Fstatat(dir, base, &info.st, unix.AT_SYMLINK_NOFOLLOW) })
		if err != nil {
			return pathError("lstat", name, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return info, nil
}

func (b beneath) SyncDir(name string) error {
	parts := below(b.top, name)
	if parts == nil {
		return b.osFS.SyncDir(name)
	}
	fd, err := b.dir("sync", name, parts)
	if err != nil {
		return err
	}
	return syncOpenDir(os.NewFile(uintptr(fd), name))
}

// TryLock locks with flock, as OS does, and writes the process id behind the first byte. The
// holder may remove the file before it releases the lock: the lock of a file that no longer has
// the name is not taken.
func (b beneath) TryLock(name string) (io.Closer, error) {
	parts := below(b.top, name)
	if parts == nil {
		return b.osFS.TryLock(name)
	}
	for range maxLockTries {
		f, err := b.lock(name, parts)
		if err != nil {
			return nil, err
		}
		named, err := b.isNamed(f, name)
		if err == nil && named {
			_, _ = f.WriteAt(pidLine(), 1) // for messages only
			return f, nil
		}
		_ = f.Close()
		if err != nil {
			return nil, err
		}
	}
	return nil, &LockedError{Name: name}
}

// maxLockTries is how often TryLock begins anew when another process removes the file meanwhile.
const maxLockTries = 100

// isNamed reports whether name leads to f.
func (b beneath) isNamed(f *os.File, name string) (bool, error) {
	info, err := b.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var opened unixInfo
	if err := again(func() error { return unix.Fstat(int(f.Fd()), &opened.st) }); err != nil {
		return false, &fs.PathError{Op: "lock", Path: name, Err: err}
	}
	return opened.sameFile(info), nil
}

// lock opens and locks a file.
func (b beneath) lock(name string, parts []string) (*os.File, error) {
	f, err := b.open(name, parts, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = again(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) })
	if err != nil {
		pid := pidIn(f)
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, &LockedError{Name: name, PID: pid}
		}
		return nil, &fs.PathError{Op: "lock", Path: name, Err: err}
	}
	return f, nil
}

// unixInfo describes a file by what fstatat said.
type unixInfo struct {
	name string
	st   unix.Stat_t
}

func (i *unixInfo) Name() string       { return i.name }
func (i *unixInfo) Size() int64        { return i.st.Size }
func (i *unixInfo) ModTime() time.Time { return time.Unix(i.st.Mtim.Unix()) }
func (i *unixInfo) IsDir() bool        { return i.Mode().IsDir() }
func (i *unixInfo) Sys() any           { return &i.st }

// Owner returns the user and the group that the file belongs to.
func (i *unixInfo) Owner() (uid, gid int) { return int(i.st.Uid), int(i.st.Gid) }

func (i *unixInfo) sameFile(other fs.FileInfo) bool {
	o, ok := other.(*unixInfo)
	return ok && i.st.Dev == o.st.Dev && i.st.Ino == o.st.Ino
}

func (i *unixInfo) Mode() fs.FileMode {
	mode := fs.FileMode(i.st.Mode & 0o777)
	switch i.st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		mode |= fs.ModeDir
	case unix.S_IFLNK:
		mode |= fs.ModeSymlink
	default:
		mode |= fs.ModeIrregular
	}
	return mode
}
