package secretfile

import (
	"io/fs"
	"os"
)

// Disk is the file system of this machine. Its RenameNew needs hard links, except on Windows.
type Disk struct{}

// OpenFile is os.OpenFile. On Windows a file that is being renamed is opened after that.
func (Disk) OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	return openFile(name, flag, perm)
}

// Rename is os.Rename.
func (Disk) Rename(oldname, newname string) error { return os.Rename(oldname, newname) }

// Remove is os.Remove.
func (Disk) Remove(name string) error { return os.Remove(name) }

// Mkdir is os.Mkdir.
func (Disk) Mkdir(name string, perm fs.FileMode) error { return os.Mkdir(name, perm) }

// ReadDir is os.ReadDir.
func (Disk) ReadDir(name string) ([]fs.DirEntry, error) { return os.ReadDir(name) }

// Stat is os.Stat.
func (Disk) Stat(name string) (fs.FileInfo, error) { return os.Stat(name) }

// Lstat is os.Lstat.
func (Disk) Lstat(name string) (fs.FileInfo, error) { return os.Lstat(name) }

// SyncDir makes the names in a directory durable. Windows has no such call and needs none.
func (Disk) SyncDir(name string) error { return syncDir(name) }

// RenameNew renames a file to a name that is free, in one step.
func (Disk) RenameNew(oldname, newname string) error { return renameFile(oldname, newname) }
