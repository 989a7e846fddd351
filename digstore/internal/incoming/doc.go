// Package incoming receives generations into a store. Each transfer has a directory below incoming/
// with a pack of the chunks that the store does not have. The format of the journal, by which a
// transfer is resumed, is in package journal. The files are in LAYOUT.md 10.1.
//
// A [Transfer] is one of three kinds:
//
//   - [Open]: a module comes as bytes, and the transfer may be resumed. [Transfer.Decompose] reads
//     the module.
//   - [OpenChunks]: a generation comes as a recipe and chunks, and the transfer may be resumed. A
//     [Parts] stores the chunks.
//   - [New]: either of them, under a random name. The transfer is not resumed.
//
// After everything has arrived and was checked, [Transfer.Seal] makes the pack durable, and
// [Transfer.Packed] returns its path. [Transfer.Close] removes the directory, unless the transfer
// may be resumed.
//
// # Locks
//
// The process that holds the lock incoming/NAME.lock owns the directory incoming/NAME. The lock
// lies beside the directory because Windows cannot remove a directory with an open file. The file
// incoming/lock, the gate, is locked while a directory and its lock are made or removed. So two
// processes never hold two different files of the same name.
package incoming
