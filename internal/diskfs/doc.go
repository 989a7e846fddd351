// Package diskfs is the handful of file operations that everything which writes goes through.
//
// [FS] has nine operations and [File] nine. [OS] is the disk of this machine. [Crash] is a file
// system in memory that knows what has been synced. The others wrap an FS, and each other:
//
//   - [Fail] makes the n-th call fail, once or from then on, so that a test can try every
//     failure of a scenario in turn.
//   - [Before] calls a function before every call: to fail reads of one file, or to let another
//     process act in between.
//   - [NewProcess] gives the disk to one process of several, which can be killed: its locks are
//     then free, and all that it wrote is still seen. A store opened on each of two is a second
//     instance with a warm cache.
//
// A Crash can do what real disks do:
//
//   - lose power at the n-th call ([Crash.StopAfter]); [Crash.Recover] gives the disk that a
//     machine might find after that, where what was not synced is there, or lost, or torn;
//   - fail one sync and then report success though the data was dropped, as Linux does
//     ([Crash.FailSync]);
//   - have bad sectors ([Crash.Unreadable]), links ([Crash.Symlink]) and special files
//     ([Crash.Special]);
//   - take names that differ in case for one, have coarse times, and refuse to remove what is
//     open ([CrashOptions]).
//
// # What may be relied on
//
// The promises are those that a careful program gets from a POSIX file system, and no more:
//
//   - File data is durable after [File.Sync].
//   - A name (created, renamed or removed) is durable after [FS.SyncDir] of its directory.
//     Until then each name on its own may be the old or the new one.
//   - [FS.Rename] replaces an existing file; at any moment the name means the old file or the
//     new one.
//
// [WriteFile] and [MkdirAll] put these together for the usual cases.
package diskfs
