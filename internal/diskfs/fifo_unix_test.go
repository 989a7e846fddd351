//go:build unix

package diskfs_test

import "syscall"

func mkfifo(name string) error { return syscall.Mkfifo(name, 0o600) }
