package secretfile

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A File is an open file of an [FS].
type File interface {
	io.Reader
	io.Writer
	io.Closer
	Stat() (fs.FileInfo, error)
	Sync() error
}

// An FS is what files are made and read with. [Disk] is one, and so is every diskfs.FS, which a
// test can let fail. Methods are those of package os. Where an FS has the method
// RenameNew(oldname, newname string) error, that renames to a name that is free in one step; a
// name that is taken is fs.ErrExist.
type FS[F File] interface {
	OpenFile(name string, flag int, perm fs.FileMode) (F, error)
	Rename(oldname, newname string) error
	Remove(name string) error
	Mkdir(name string, perm fs.FileMode) error
	ReadDir(name string) ([]fs.DirEntry, error)
	Stat(name string) (fs.FileInfo, error)
	Lstat(name string) (fs.FileInfo, error)
	SyncDir(name string) error
}

const (
	tempExt    = ".new"
	tempRandom = 8 // bytes
)

// Create makes a new file of mode 0600 that holds data, synced to disk when it returns. The
// file appears whole or not at all; a name that is taken is fs.ErrExist, and the file stays as
// it is. Several processes may do so at once: one of them makes the file.
//
// The file is written under a temporary name (path, 16 random hex digits, ".new") first. What
// calls that were killed have left under such names is removed once there is a file at path.
func Create[F File](fsys FS[F], path string, data []byte) error {
	if _, err := fsys.Lstat(path); err == nil {
		Sweep(fsys, path)
		return exists(path)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var random [tempRandom]byte
	_, _ = rand.Read(random[:]) // does not fail
	temp := path + "." + hex.EncodeToString(random[:]) + tempExt
	if err := write(fsys, temp, data); err != nil {
		return err
	}
	err := renameNew(fsys, temp, path)
	if err != nil {
		_ = fsys.Remove(temp)
	}
	if errors.Is(err, errNoLinks) {
		err = write(fsys, path, data)
	}
	if errors.Is(err, fs.ErrNotExist) { // swept by the call that was first
		if _, lerr := fsys.Lstat(path); lerr == nil {
			err = exists(path)
		}
	}
	if err == nil {
		err = fsys.SyncDir(filepath.Dir(path))
	}
	if err == nil || errors.Is(err, fs.ErrExist) {
		Sweep(fsys, path)
	}
	return err
}

func exists(path string) error {
	return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
}

// write makes a new file of mode 0600, synced. On an error it is removed, unless it was there.
func write[F File](fsys FS[F], name string, data []byte) error {
	f, err := fsys.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
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

// errNoLinks says that a file cannot be renamed to a name that is free in one step.
var errNoLinks = errors.New("no hard links")

// renameNew renames a file to a name that is free.
func renameNew[F File](fsys FS[F], oldname, newname string) error {
	if r, ok := fsys.(interface{ RenameNew(string, string) error }); ok {
		return r.RenameNew(oldname, newname)
	}
	if _, err := fsys.Lstat(newname); err == nil {
		return exists(newname)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fsys.Rename(oldname, newname)
}

// Sweep removes what calls of [Create] that were killed have left beside the file at path,
// which must be there: a call that is under way then finds that it is too late. What cannot be
// removed stays.
func Sweep[F File](fsys FS[F], path string) {
	dir, base := filepath.Split(path)
	list, err := fsys.ReadDir(filepath.Clean(dir))
	if err != nil {
		return
	}
	for _, e := range list {
		random, ok := strings.CutPrefix(e.Name(), base+".")
		random, isNew := strings.CutSuffix(random, tempExt)
		b, err := hex.DecodeString(random)
		if ok && isNew && err == nil && len(b) == tempRandom {
			_ = fsys.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
