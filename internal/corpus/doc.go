// Package corpus makes directory trees like those of users. Only tests import
// it.
//
// A [Tree] maps names to contents. [Small] and [Large] make one from a seed;
// the same seed gives the same bytes. Both hold what users have and small
// fixtures lack: many files of several chunks each, equal files, empty files,
// text and bytes that do not compress, deep folders, and names of every
// permitted length and script. Small has about 2 MiB in 60 files, Large about
// 24 MiB in 3,000.
//
// [Edits] lists the changes that users make between two generations. Each
// takes a tree and returns a changed copy:
//
//	v1 := corpus.Small(1)
//	for _, e := range corpus.Edits() {
//		v2 := e.Apply(v1, 7)
//		// publish v1, then v2, and compare what a clone reads with v2
//	}
//
// [Tree.Write] makes a folder on a disk hold exactly the tree, [Tree.FS] gives
// it as an [io/fs.FS], and [Read] reads a folder back for a comparison with
// [Diff].
package corpus
