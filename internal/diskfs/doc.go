// Package diskfs is the handful of file operations that everything which writes goes through.
//
// [FS] has eight operations and [File] nine. There are three implementations:
//
//   - [OS] is the disk of this machine.
//   - [Fail] wraps another FS and makes its n-th call fail, once or from then on,
//     so that a test can try every failure of a scenario in turn.
//   - [Crash] is a file system in memory that knows what has been synced. [Crash.StopAfter]
//     cuts the power at the n-th call, and [Crash.Recover] gives the disk that a machine
//     might find after that: whatever was not synced is there, or lost, or torn.
//
// # What may be relied on
//
// The promises are those that a careful program gets from a POSIX file system, and no more:
//
//   - File data is durable after [File.Sync].
//   - A name (created, renamed or removed) is durable after [FS.SyncDir] of its directory.
//     Until then each name on its own may be the old or the new one.
//   - [FS.Rename] replaces an existing file; at any moment the name means the old file or the new one.
//
// [WriteFile] and [MkdirAll] put these together for the usual cases.
package diskfs
