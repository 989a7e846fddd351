//go:build !linux

package diskfs

// StartWriteback asks the system to begin writing n bytes at off to the disk, without waiting, so
// that a later Sync takes less time. Where the system or the file has no such call it does nothing.
func StartWriteback(File, int64, int64) {}
