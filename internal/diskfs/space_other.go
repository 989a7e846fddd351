//go:build !linux && !darwin && !windows

package diskfs

import "errors"

func noSpace(error) bool { return false }

func free(string) (uint64, error) { return 0, errors.ErrUnsupported }
