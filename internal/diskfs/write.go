package diskfs

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
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

// staleAfter is the age from which a temporary file of WriteShared is that of a writer that was
// killed.
const staleAfter = time.Minute

const (
	sharedExt    = ".tmp"
	sharedRandom = 8 // bytes
)

// WriteShared is WriteFile for a name that several processes may write at once: the last one
// counts. Each writes a temporary file of its own (name, ".", 16 random hex digits, ".tmp"). What
// a writer that was killed leaves, RemoveStale removes.
func WriteShared(fsys FS, name string, data []byte, perm fs.FileMode) error {
	var random [sharedRandom]byte
	_, _ = rand.Read(random[:]) // does not fail
	tmp := name + "." + hex.EncodeToString(random[:]) + sharedExt
	if err := WriteNew(fsys, tmp, data, perm, true); err != nil {
		return err
	}
	if err := fsys.Rename(tmp, name); err != nil {
		_ = fsys.Remove(tmp)
		return err
	}
	return fsys.SyncDir(filepath.Dir(name))
}

// RemoveStale removes the temporary files of WriteShared in dir that are over a minute old. What
// cannot be removed stays.
func RemoveStale(fsys FS, dir string) {
	list, err := fsys.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range list {
		name, isTemp := strings.CutSuffix(e.Name(), sharedExt)
		random, err := hex.DecodeString(name[strings.LastIndexByte(name, '.')+1:])
		if !isTemp || err != nil || len(random) != sharedRandom {
			continue
		}
		info, err := e.Info()
		if err == nil && time.Since(info.ModTime()) > staleAfter {
			_ = fsys.Remove(filepath.Join(dir, e.Name()))
		}
	}
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
