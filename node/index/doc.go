// Package index is the index in memory of the capsules of a node: the generations, the descriptor
// of every capsule, and the places of its content. Lookups do not use the disk.
//
// An [Index] is filled from sources ([Source]): a storage, the plots, modules in packs. A source
// has items; an item is a file with capsules of one or several generations. The index can always be
// rebuilt from its sources. [Index.Update] compares the size and the modification time of their
// items with those in the index, reads new and changed items, and drops removed ones. A damaged
// item is dropped and reported.
//
// [Index.Save] writes a snapshot, so that a start reads only what has changed since. A snapshot has
// one checksum. A snapshot that is damaged, or of another version, is ignored.
//
// A capsule takes about 100 bytes, and a generation about 260 besides.
package index
