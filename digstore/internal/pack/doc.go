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
// A pack without index and footer is unfinished: an interrupted transfer leaves one.
// [ReadUnfinished] finds its chunks by hashing the frames, and [Resume] continues it.
//
// # An index
//
// An [Index] maps the id of a chunk to its pack and offset. [ReadIndex] reads the index of one
// pack. [Merge] combines indexes, so that a store with many packs searches few of them. A merged
// index has a file of its own (LAYOUT.md 6.3), which [Index.Marshal] writes and [ParseMerged]
// reads.
//
// Offsets from an index are not verified. [ReadFrame] hashes the chunk that it reads there.
//
// # Errors
//
// An error about damage matches module.ErrDamaged. Only [ReadFrame] names the file in it. Other
// errors are those of the reader or the writer.
package pack
