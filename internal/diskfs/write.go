package diskfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	readOnly  = os.O_RDONLY
	writeTemp = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
)

// WriteFile makes name hold data, durably: a temporary file beside it (name + ".tmp") is written, synced and
// renamed over it, and the directory is synced. On an error name is what it was before, or, where only
// the last step failed, already the new file. Two concurrent calls for one name must be kept apart by the caller.
func WriteFile(fsys FS, name string, data []byte, perm fs.FileMode) error {
	if err := writeVia(fsys, name, data, perm, true); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(name))
}

// CreateFile makes name hold data, durably, and only when there is no such name: else it is fs.ErrExist and the file
// stays as it is. After a crash name is missing or holds all of data. It writes a temporary file (name + ".new") first.
func CreateFile(fsys FS, name string, data []byte, perm fs.FileMode) error {
	if _, err := fsys.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
		}
		return err
	}
	tmp := name + ".new"
	if err := WriteNew(fsys, tmp, data, perm, true); err != nil {
		return err
	}
	if err := RenameNew(fsys, tmp, name); err != nil {
		_ = fsys.Remove(tmp)
		return err
	}
	return fsys.SyncDir(filepath.Dir(name))
}

// RenameNew renames a file to a name that is free; a name that is taken is fs.ErrExist. Where neither FS nor system can
// do so in one step, another program may take the name between the check and the rename.
func RenameNew(fsys FS, oldname, newname string) error {
	if r, ok := fsys.(interface{ RenameNew(string, string) error }); ok {
		return r.RenameNew(oldname, newname)
	}
	switch _, err := fsys.Stat(newname); {
	case err == nil:
		return &os.LinkError{Op: "rename", Old: oldname, New: newname, Err: fs.ErrExist}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return fsys.Rename(oldname, newname)
}

// ReplaceFile is WriteFile without the syncing: after a crash name may be the old file, the new one or a torn one.
// It is for what can be made again and carries its own checksum.
func ReplaceFile(fsys FS, name string, data []byte, perm fs.FileMode) error {
	return writeVia(fsys, name, data, perm, false)
}

func writeVia(fsys FS, name string, data []byte, perm fs.FileMode, sync bool) error {
	tmp := name + ".tmp"
	if err := WriteNew(fsys, tmp, data, perm, sync); err != nil {
		return err
	}
	if err := fsys.Rename(tmp, name); err != nil {
		_ = fsys.Remove(tmp)
		return err
	}
	return nil
}

// WriteNew writes data to name, which it makes or empties first, and syncs the data when told to.
// It is for names that nothing refers to yet. On an error the file is removed.
func WriteNew(fsys FS, name string, data []byte, perm fs.FileMode, sync bool) error {
	f, err := fsys.OpenFile(name, writeTemp, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil && sync {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = fsys.Remove(name)
	}
	return err
}
