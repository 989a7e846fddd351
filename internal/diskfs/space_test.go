package diskfs_test

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/dig-network/digstore/internal/diskfs"
)

func TestNoSpace(t *testing.T) {
	full := []error{syscall.ENOSPC}
	switch runtime.GOOS {
	case "windows":
		full = append(full, syscall.Errno(112)) // ERROR_DISK_FULL
	case "linux", "darwin":
		full = append(full, syscall.EDQUOT)
	}
	for _, err := range full {
		wrapped := fmt.Errorf("put: %w", &fs.PathError{Op: "write", Path: "x", Err: err})
		if !diskfs.NoSpace(wrapped) {
			t.Errorf("%v is not taken for a full disk", wrapped)
		}
	}
	for _, err := range []error{nil, fs.ErrNotExist, syscall.EROFS, diskfs.ErrPowerLost} {
		if diskfs.NoSpace(err) {
			t.Errorf("%v is taken for a full disk", err)
		}
	}
}

func TestFree(t *testing.T) {
	dir := t.TempDir()
	n, err := diskfs.Free(dir)
	if err != nil || n <= 0 {
		t.Errorf("free: %d bytes, %v", n, err)
	}
	if _, err := diskfs.Free(filepath.Join(dir, "missing")); err == nil {
		t.Error("a directory that is missing has room")
	}
}
