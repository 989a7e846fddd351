//go:build !unix

package diskfs

// syncDir does nothing: Windows makes names durable by itself and has no call for it.
func syncDir(string) error { return nil }
