// Package history keeps the history of a store in the directory of that store: roots.log, its
// proofs, the list of dropped lines and the index files. The formats are in package rootlog. The
// order in which the files are written is in LAYOUT.md 5 and 12.2.
//
// A [Log] is the directory. A [History] is an immutable snapshot of it:
//
//	l := history.New(fsys, dir, nil)
//	h, err := l.Current()
//	g, ok, err := h.Find(root)
//
// Readers take no lock: [Log.Current] reads roots.log again when its size or time has changed. A
// writer holds the lock of the store, reads with [Log.Read], and appends with [Log.Extend]. The
// line in roots.log is the commit point of a generation; its block in roots.proof is durable before
// it. One line is appended with one write and synced. Several lines are appended with a zero byte
// in place of their first byte, which is written after they are synced. Until then a reader stops
// at the zero byte.
//
// # Why there are index files
//
// At 100,000 generations, on two shared cores, a new process opens a store and its head in 1 to 2
// ms with the index files and in 100 to 290 ms without, and uses 14 MiB less memory. A commit takes
// 42 ms instead of 240 ms. BenchmarkHistoryIndex of package digstore measures it. Without the files
// each process would read and check all lines.
package history
