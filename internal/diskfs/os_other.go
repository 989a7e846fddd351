//go:build !windows

package diskfs

import "os"

// inUse is false: other systems let open files be renamed and removed.
func inUse(error) bool { return false }

func rename(oldname, newname string) error { return os.Rename(oldname, newname) }
func remove(name string) error             { return os.Remove(name) }
