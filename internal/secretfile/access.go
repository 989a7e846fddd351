// Package secretfile has the rules for files that hold keys and for the directories that
// hold those files, and makes such files.
//
// A file is private when it belongs to the user or to root and its mode gives nothing to
// group and others. A directory is safe when it belongs to the user or to root and no other
// user may write to it. A directory that its group may write to is safe only where the
// group is the owner's own: the group has the number of the owner, and the owner is not
// root. Systems that make such a group for every user also make directories writable by it
// (umask 002). The sticky bit does not make a directory safe, because other users could
// still add files to it.
//
// Where files have no owner and no Unix permissions, as on Windows, every file passes.
package secretfile

import (
	"fmt"
	"io/fs"
)

// An AccessError says that other users can read or replace a secret.
type AccessError struct {
	Path    string // the file or directory
	Problem string // what is wrong with it
	Fix     string // a shell command that changes it
}

// Error implements error.
func (e *AccessError) Error() string { return e.Path + ": " + e.Problem }

// CheckFile returns an *AccessError for a file that is not private.
func CheckFile(path string, info fs.FileInfo) error {
	if err := CheckOwner(path, info); err != nil {
		return err
	}
	return CheckMode(path, info)
}

// CheckMode returns an *AccessError for a file whose mode gives something to group or others.
func CheckMode(path string, info fs.FileInfo) error {
	mode := info.Mode().Perm()
	if hasModes && mode&0o077 != 0 {
		return &AccessError{
			Path:    path,
			Problem: fmt.Sprintf("mode %#o lets other users read or change it, expected 0600", mode),
			Fix:     "chmod 600 " + quote(path),
		}
	}
	return nil
}

// CheckDir returns an *AccessError for a directory that is not safe.
func CheckDir(path string, info fs.FileInfo) error {
	if err := CheckOwner(path, info); err != nil {
		return err
	}
	mode := info.Mode().Perm()
	unsafe := mode&0o002 != 0 || mode&0o020 != 0 && !ownGroup(info)
	if hasModes && unsafe {
		return &AccessError{
			Path:    path,
			Problem: fmt.Sprintf("mode %#o of the directory lets other users replace files", mode),
			Fix:     "chmod go-w " + quote(path),
		}
	}
	return nil
}

// CheckOwner returns an *AccessError for a file or directory that belongs to another user
// than the one of this process and root.
func CheckOwner(path string, info fs.FileInfo) error {
	uid, _, ok := owner(info)
	if !ok || uid == 0 || uid == user() {
		return nil
	}
	return &AccessError{
		Path:    path,
		Problem: fmt.Sprintf("it belongs to another user (uid %d)", uid),
		Fix:     fmt.Sprintf("sudo chown %d %s", user(), quote(path)),
	}
}

// ownGroup reports whether a file's group is the private group of its owner.
func ownGroup(info fs.FileInfo) bool {
	uid, gid, ok := owner(info)
	return ok && uid != 0 && uid == gid
}

// An owned file says which user and group it belongs to. It is for a fs.FileInfo whose Sys
// is not a *syscall.Stat_t.
type owned interface {
	Owner() (uid, gid int)
}
