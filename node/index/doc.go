// Package index is what a node knows in memory about the capsules that it holds: which generations
// there are, the descriptor of every capsule, where its content is, and where else the same
// content stands. Answers need no disk.
//
// An [Index] is filled from sources ([Source]): a storage, the plots, modules that lie in packs. A
// source has items; an item is a file that holds capsules of one generation or of several. The
// index keeps no truth of its own: [Index.Update] compares the items of the sources with those it
// knows by size and time of modification, reads what is new or changed, and forgets what is gone.
// An item that is damaged is dropped and reported.
//
// [Index.Save] writes a snapshot, so that a start reads only what has changed since. A snapshot is
// checked as a whole: one that is damaged, or of another version, is as good as none.
//
// A capsule takes about 100 bytes, and a generation about 260 besides.
package index
