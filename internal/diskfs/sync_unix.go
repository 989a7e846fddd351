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
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	if err != nil && (noSuchCall(err) || errors.Is(err, syscall.EINVAL)) {
		return nil
	}
	return err
}
