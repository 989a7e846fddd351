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

// WriteFile replaces the content of name by data, durably. It writes and syncs a temporary file
// (name + ".tmp"), renames it to name, and syncs the directory. On an error name has the old
// content, or, if only the last step failed, the new one. The caller must not call it concurrently
// for one name.
func WriteFile(fsys FS, name string, data []byte, perm fs.FileMode) error {
	if err := writeVia(fsys, name, data, perm, true); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(name))
}

// RenameNew renames a file to a free name. If newname exists, the error is fs.ErrExist. Where
// neither the FS nor the system has such a call, another program may create newname between the
// check and the rename.
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

// ReplaceFile is WriteFile without sync. After a crash name may be the old file, the new one or a
// torn one. It is for caches with a checksum.
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

// WriteNew creates or truncates name, writes data, and syncs it if sync is true. It is for files
// that nothing refers to yet. On an error it removes the file.
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
