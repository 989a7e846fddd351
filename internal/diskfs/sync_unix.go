//go:build unix

package diskfs

import (
	"errors"
	"os"
	"syscall"
)

func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return syncOpenDir(d)
}

// syncOpenDir syncs and closes a directory.
func syncOpenDir(d *os.File) error {
	err := d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	if err != nil && (noSuchCall(err) || errors.Is(err, syscall.EINVAL)) {
		return nil
	}
	return err
}
