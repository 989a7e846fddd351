package main

import (
	"errors"
	"syscall"
)

// brokenPipe reports whether err is how Windows says that a pipe has no reader.
func brokenPipe(err error) bool {
	const noData = syscall.Errno(232)
	return errors.Is(err, syscall.ERROR_BROKEN_PIPE) || errors.Is(err, noData)
}
