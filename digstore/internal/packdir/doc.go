// Package packdir keeps the packs of a store in a directory. It finds chunks in them, writes new
// packs, and maintains the files with merged indexes. The formats are in package pack, the names of
// the files in LAYOUT.md 6.
//
// A [Dir] is a module.ChunkSource over all packs of a directory:
//
//	d := packdir.New(fsys, "packs", nil)
//	r, off, err := d.Chunk(c)   // the frame of c begins at off
//
// It reads the indexes once and caches them. [Dir.Added] adds a new pack, and [Dir.Reload] drops
// the cache. Chunk reads the indexes again before it reports a chunk as missing, so it finds a pack
// that another process has just written or moved.
//
// [Dir.Checked] is the same source for the chunks of one generation. It hashes each chunk before it
// is read.
//
// A [Writer] is a pack that is being written. An [Alone] is a pack outside the index: that of a
// pending generation or of a resumed transfer.
//
// Readers need no lock. [Dir.Added], [Dir.Tidy], [Dir.DropIndex] and [Dir.Remove] need the lock of
// the store.
package packdir
