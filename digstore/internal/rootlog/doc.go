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
// A line counts if its block says the same. The last lines may be torn by a crash; then they do not
// count and the next writer removes them. Any other difference is damage.
//
// A history without roots.proof is one of the reference implementation or of an earlier version.
// Its lines count as they are, and only the last one may be torn: one without a line feed, or with
// a zero byte. A line that begins with a zero byte ends the history: it is the first of several
// lines whose writer did not finish.
//
// # Errors
//
// Damage is an error that matches module.ErrDamaged.
package rootlog
