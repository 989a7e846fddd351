//go:build !unix

package capsule_test

import "errors"

func mkfifo(string) error { return errors.ErrUnsupported }
