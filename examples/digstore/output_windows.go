package main

import (
	"errors"
	"syscall"
)

// brokenPipe reports whether err is the error of Windows for a pipe without a reader.
func brokenPipe(err error) bool {
	const noData = syscall.Errno(232)
	return errors.Is(err, syscall.ERROR_BROKEN_PIPE) || errors.Is(err, noData)
}
