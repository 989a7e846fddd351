package diskfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// rootFS implements Beneath with os.Root, for systems without openat. A name is checked just
// before it is used. A link that replaces it in between can lead to another place below top,
// but not out of it.
type rootFS struct {
	osFS
	top string
}

// in calls do with the directory that holds name, which is open as at.
func (r rootFS) in(op, name string, parts []string, do func(at *os.Root, base string) error) error {
	at, err := os.OpenRoot(r.top)
	if err != nil {
		return &fs.PathError{Op: op, Path: name, Err: underlying(err)}
	}
	defer func() { _ = at.Close() }()
	last := len(parts) - 1
	for _, part := range parts[:last] {
		next, err := enter(at, op, name, part)
		if err != nil {
			return err
		}
		_ = at.Close()
		at = next
	}
	return do(at, parts[last])
}

// enter opens a directory that is no link.
func enter(at *os.Root, op, name, part string) (*os.Root, error) {
	info, err := at.Lstat(part)
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: underlying(err)}
	}
	if info.Mode().Type() != fs.ModeDir {
		return nil, irregular(op, name)
	}
	next, err := at.OpenRoot(part)
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: underlying(err)}
	}
	opened, err := next.Stat(".")
	if err == nil && !os.SameFile(info, opened) {
		err = ErrIrregular
	}
	if err != nil {
		_ = next.Close()
		return nil, &fs.PathError{Op: op, Path: name, Err: underlying(err)}
	}
	return next, nil
}

// underlying returns the cause of an error that names only an element of the path.
func underlying(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	var l *os.LinkError
	if errors.As(err, &l) {
		return l.Err
	}
	return err
}

func (r rootFS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	parts := below(r.top, name)
	if parts == nil {
		return r.osFS.OpenFile(name, flag, perm)
	}
	var f *os.File
	err := r.in("open", name, parts, func(at *os.Root, base string) error {
		info, err := at.Lstat(base)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return &fs.PathError{Op: "open", Path: name, Err: underlying(err)}
		case flag&(os.O_CREATE|os.O_EXCL) == os.O_CREATE|os.O_EXCL:
			return &fs.PathError{Op: "open", Path: name, Err: fs.ErrExist}
		case !info.Mode().IsRegular():
			return irregular("open", name)
		}
		if f, err = at.OpenFile(base, flag&^os.O_TRUNC, perm); err != nil {
			return &fs.PathError{Op: "open", Path: name, Err: underlying(err)}
		}
		opened, err := f.Stat()
		if err == nil && (!opened.Mode().IsRegular() || info != nil && !os.SameFile(info, opened)) {
			err = ErrIrregular
		}
		if err == nil && flag&os.O_TRUNC != 0 && opened.Size() > 0 {
			err = f.Truncate(0)
		}
		if err != nil {
			_ = f.Close()
			return &fs.PathError{Op: "open", Path: name, Err: underlying(err)}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (r rootFS) Rename(oldname, newname string) error {
	from, to := below(r.top, oldname), below(r.top, newname)
	if from == nil || to == nil {
		return r.osFS.Rename(oldname, newname)
	}
	nothing := func(*os.Root, string) error { return nil }
	err := errors.Join(r.in("rename", oldname, from, nothing), r.in("rename", newname, to, nothing))
	if err != nil {
		return err
	}
	top, err := os.OpenRoot(r.top)
	if err != nil {
		return err
	}
	defer top.Close()
	err = whileBusy(func() error { return top.Rename(filepath.Join(from...), filepath.Join(to...)) })
	if err != nil {
		return &os.LinkError{Op: "rename", Old: oldname, New: newname, Err: underlying(err)}
	}
	return nil
}

func (r rootFS) Remove(name string) error {
	parts := below(r.top, name)
	if parts == nil {
		return r.osFS.Remove(name)
	}
	return r.in("remove", name, parts, func(at *os.Root, base string) error {
		if err := whileBusy(func() error { return at.Remove(base) }); err != nil {
			return &fs.PathError{Op: "remove", Path: name, Err: underlying(err)}
		}
		return nil
	})
}

func (r rootFS) Mkdir(name string, perm fs.FileMode) error {
	parts := below(r.top, name)
	if parts == nil {
		return r.osFS.Mkdir(name, perm)
	}
	return r.in("mkdir", name, parts, func(at *os.Root, base string) error {
		if err := at.Mkdir(base, perm); err != nil {
			return &fs.PathError{Op: "mkdir", Path: name, Err: underlying(err)}
		}
		return nil
	})
}

func (r rootFS) ReadDir(name string) (list []fs.DirEntry, err error) {
	parts := below(r.top, name)
	if parts == nil {
		return r.osFS.ReadDir(name)
	}
	err = r.in("readdir", name, parts, func(at *os.Root, base string) error {
		dir, err := enter(at, "readdir", name, base)
		if err != nil {
			return err
		}
		defer dir.Close()
		d, err := dir.Open(".")
		if err != nil {
			return &fs.PathError{Op: "readdir", Path: name, Err: underlying(err)}
		}
		defer d.Close()
		list, err = d.ReadDir(-1)
		slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
		return err
	})
	return list, err
}

// Stat is Lstat; a link or special file is ErrIrregular.
func (r rootFS) Stat(name string) (fs.FileInfo, error) {
	if below(r.top, name) == nil {
		return r.osFS.Stat(name)
	}
	info, err := r.Lstat(name)
	if err == nil {
		err = checkType("stat", name, info)
	}
	if err != nil {
		return nil, err
	}
	return info, nil
}

func (r rootFS) Lstat(name string) (info fs.FileInfo, err error) {
	parts := below(r.top, name)
	if parts == nil {
		return r.osFS.Lstat(name)
	}
	err = r.in("lstat", name, parts, func(at *os.Root, base string) error {
		if info, err = at.Lstat(base); err != nil {
			return &fs.PathError{Op: "lstat", Path: name, Err: underlying(err)}
		}
		return nil
	})
	return info, err
}

func (r rootFS) SyncDir(name string) error {
	if parts := below(r.top, name); parts != nil {
		if _, err := r.Stat(name); err != nil {
			return err
		}
	}
	return r.osFS.SyncDir(name)
}

func (r rootFS) TryLock(name string) (io.Closer, error) {
	if below(r.top, name) != nil {
		// The file is made and checked here; the lock opens it once more.
		f, err := r.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
	return r.osFS.TryLock(name)
}
