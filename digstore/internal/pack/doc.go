// Package pack encodes and decodes packs, the files that hold the sealed chunks of a store, and the
// merged indexes of several packs. It works on an io.Writer, an io.ReaderAt and byte slices, and
// opens no file: package packdir keeps packs in a directory.
//
// # A pack
//
// A pack is written once, from front to back, and never changes. LAYOUT.md 6.1 is its format:
//
//	magic    "DIGPACK1"
//	frames   for each chunk: u32 length || the sealed chunk, as in the pool of a module
//	index    for each chunk: its id, where its frame begins and its length, ascending by id
//	footer   where the index begins, how many rows it has, and its checksum
//
// A [Writer] writes one:
//
//	w := pack.NewWriter(file)
//	w.Add(id, sealed)   // as often as there are chunks
//	w.Finish()          // the index and the footer
//
// A pack without index and footer is unfinished: a transfer that broke off leaves one.
// [ReadUnfinished] finds its chunks by hashing the frames, and [Resume] continues it.
//
// # An index
//
// An [Index] says in which pack a chunk lies and where. [ReadIndex] reads that of one pack.
// [Merge] makes one of several, so that a store with many packs looks a chunk up in few indexes.
// A merged index is kept in a file of its own (LAYOUT.md 6.3): [Index.Marshal] and [ParseMerged].
//
// An index is believed for what it says about places. The bytes of a chunk are not: [ReadFrame]
// hashes them.
//
// # Errors
//
// Damage is an error that matches module.ErrDamaged. Only that of [ReadFrame]
// names a file. Other errors are those of
// the reader or the writer.
package pack
