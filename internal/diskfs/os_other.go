//go:build !windows

package diskfs

// inUse returns false: other systems permit renaming and removing open files.
func inUse(error) bool { return false }

// whileBusy calls try once.
func whileBusy(try func() error) error { return try() }
