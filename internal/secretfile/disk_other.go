//go:build !windows

package secretfile

import (
	"errors"
	"io/fs"
	"os"
)

func openFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	return os.OpenFile(name, flag, perm)
}

// renameFile makes a link and removes the old name, because a link fails where the name is
// taken and a rename does not.
func renameFile(oldname, newname string) error {
	err := os.Link(oldname, newname)
	if err == nil {
		if err = os.Remove(oldname); errors.Is(err, fs.ErrNotExist) { // swept by another process
			err = nil
		}
		return err
	}
	if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return errors.Join(errNoLinks, err)
}

func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
