// Package incoming receives generations into a store. Each transfer has a directory below
// incoming/, in which the chunks that the store does not have are gathered in a pack. Package
// journal has the format of the record that lets a transfer continue, LAYOUT.md 10.1 the files.
//
// A [Transfer] is one of three kinds:
//
//   - [Open]: a module comes as bytes, and the transfer may be resumed. [Transfer.Decompose] reads
//     the module.
//   - [OpenChunks]: a generation comes as a recipe and chunks, and the transfer may be resumed. A
//     [Parts] stores the chunks.
//   - [New]: either of them, under a random name. The transfer is not resumed.
//
// When everything has arrived and was checked, [Transfer.Seal] makes the pack durable and
// [Transfer.Packed] returns its path. [Transfer.Close] removes the directory, unless the transfer
// may be resumed.
//
// # Locks
//
// The process that holds the lock incoming/NAME.lock owns the directory incoming/NAME. The lock
// lies beside the directory because Windows removes no directory that has an open file. The file
// incoming/lock, the gate, is locked while a directory is made, or removed together with its lock,
// so that the lock that a process holds is always the file that others find under its name.
package incoming
