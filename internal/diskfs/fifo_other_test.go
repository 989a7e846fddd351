//go:build !unix

package diskfs_test

import "errors"

func mkfifo(string) error { return errors.ErrUnsupported }
