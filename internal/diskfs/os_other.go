//go:build !windows

package diskfs

// inUse is false: other systems let open files be renamed and removed.
func inUse(error) bool { return false }

// whileBusy calls try once, for the same reason.
func whileBusy(try func() error) error { return try() }
