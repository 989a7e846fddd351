package secretfile

import (
	"os"
	"syscall"
)

// renameFile uses MoveFile, which fails where the name is taken. A link would leave the old
// name: Windows does not remove one name of a file while a reader has another one open.
func renameFile(oldname, newname string) error {
	from, err := syscall.UTF16PtrFromString(oldname)
	if err != nil {
		return err
	}
	to, err := syscall.UTF16PtrFromString(newname)
	if err != nil {
		return err
	}
	if err := syscall.MoveFile(from, to); err != nil {
		return &os.LinkError{Op: "rename", Old: oldname, New: newname, Err: err}
	}
	return nil
}

func syncDir(string) error { return nil }
