// Package rootlog encodes and decodes the history of a store: roots.log and the files beside it. It
// works on byte slices and an io.ReaderAt, and opens no file: package history keeps a history in
// the directory of a store. LAYOUT.md 5 is the format.
//
// # The files
//
//   - roots.log has one line for each generation: its number, its root and its time. It is the
//     format of the reference implementation. [AppendLine] encodes a line, [ParseLine] decodes one,
//     and [Lines] many.
//   - roots.proof has a block of 64 bytes for each line: the line a second time, where it ends in
//     roots.log, and checksums. A [Proof] is one block, [Proofs] the file. [Proofs.Check] compares
//     the bytes of roots.log with the blocks.
//   - roots.dropped lists the lines whose generations are not held on purpose: [Dropped].
//   - history/*.idx say where in roots.log the line of a root is: an [Index] is one of them. They
//     are a cache.
//
// # What counts
//
// A line is valid if it agrees with its block. A crash may tear the last lines; they are ignored,
// and the next writer removes them. Any other difference is damage.
//
// A history without roots.proof was written by the reference implementation or an earlier version.
// Every line in it is valid, except that the last one may be torn: it has no line feed, or has a
// zero byte. A line that begins with a zero byte ends the history: a writer of several lines did
// not finish.
//
// # Errors
//
// An error about damage matches module.ErrDamaged.
package rootlog
