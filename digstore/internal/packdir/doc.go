// Package packdir keeps the packs of a store in a directory. It finds chunks in them, writes new
// packs, and maintains the files with merged indexes. Package pack has the formats, LAYOUT.md 6 the
// names of the files.
//
// A [Dir] is a module.ChunkSource over all packs of a directory:
//
//	d := packdir.New(fsys, "packs", nil)
//	r, off, err := d.Chunk(c)   // the frame of c begins at off
//
// It reads the indexes once and keeps them. [Dir.Added] tells it of a new pack, [Dir.Reload] makes
// it read them anew. A pack that another process has just written or moved is found, because Chunk
// reads the indexes again before it reports a chunk as missing.
//
// [Dir.Checked] is the same source for the chunks of one generation, and hashes each chunk before
// it is read.
//
// A [Writer] is a pack that is being written. An [Alone] is a pack that belongs to no index: that
// of a pending generation, or of a transfer that continues.
//
// Readers need no lock. [Dir.Added], [Dir.Tidy], [Dir.DropIndex] and [Dir.Remove] are for the
// holder of the lock of the store.
package packdir
