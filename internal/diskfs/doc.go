// Package diskfs is the interface to the file system for all code that writes files, with
// implementations that simulate failures.
//
// [FS] and [File] have nine operations each. [OS] is the disk of this machine. [Crash] is a file
// system in memory that records what has been synced. The others wrap an FS, and can be combined:
//
//   - [Fail] makes the n-th call fail, once or from then on. A test can try every failure of a
//     scenario in turn.
//   - [Before] calls a function before every call. A test can fail reads of one file, or simulate
//     another process at that point.
//   - [NewProcess] is the disk as one of several processes sees it. The process can be killed:
//     its locks are released and its writes stay visible.
//
// A Crash simulates these failures of real disks:
//
//   - a power cut at the n-th call ([Crash.StopAfter]); [Crash.Recover] returns a disk that may be
//     found afterwards, on which data that was not synced is present, lost or torn;
//   - a sync that fails and drops data, after which further syncs succeed, as on Linux
//     ([Crash.FailSync]);
//   - bad sectors ([Crash.Unreadable]), links ([Crash.Symlink]) and special files
//     ([Crash.Special]);
//   - names that are equal up to case, coarse times, and open files that cannot be removed
//     ([CrashOptions]).
//
// # Guarantees
//
// Callers may rely on the guarantees of a POSIX file system:
//
//   - File data is durable after [File.Sync].
//   - A name (created, renamed or removed) is durable after [FS.SyncDir] of its directory.
//     Until then each name on its own may be the old or the new one.
//   - [FS.Rename] replaces an existing file; at any moment the name is that of the old file or the
//     new one.
//
// [WriteFile] and [MkdirAll] combine them for common cases.
package diskfs
