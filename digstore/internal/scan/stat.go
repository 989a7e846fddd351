package scan

// A Stat describes a file. Equal Stats mean equal content, but see OlderThan.
type Stat struct {
	Size  int64 // bytes
	Mtime int64 // modification time, nanoseconds since 1970
	Ctime int64 // change time, nanoseconds since 1970; 0 if the system has none
	Inode uint64
	Mode  uint32 // the mode bits of the system
}

const (
	// fineStep is the longest step, in nanoseconds, of a time that has a fraction of a second:
	// clocks tick every 16 ms on Windows, every 10 ms or faster elsewhere, and exFAT counts in
	// 10 ms.
	fineStep = 20_000_000
	// coarseStep is the longest step, in nanoseconds, of a time in whole seconds: FAT counts in 2
	// s; ext3, HFS+, ext4 with inodes of 128 bytes and many NFS servers in 1 s.
	coarseStep = 2_000_000_000
)

// OlderThan reports whether a change of the file at or after the time at, in nanoseconds since
// 1970, would change its Stat. The resolution of the file system is inferred from the times.
func (k Stat) OlderThan(at int64) bool {
	older := func(t int64) bool {
		step := int64(fineStep)
		if t%1_000_000_000 == 0 {
			step = coarseStep
		}
		return t < at-step
	}
	return older(k.Mtime) && older(k.Ctime) // a Ctime of 0 is older than anything
}
