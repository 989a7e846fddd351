// Package journal encodes and decodes the journal of a transfer: it describes the received bytes of
// a module as a sequence of chunks, which are in packs, and other bytes. With it an interrupted
// transfer is resumed. It works on an io.Writer and byte slices; package incoming keeps the file.
// LAYOUT.md 10.2 is the format.
//
// A [Writer] is given the bytes of the stream and the chunks found in them, and writes records.
// [Parse] reads the records, and [Journal.Replay] returns the bytes of the stream:
//
//	j, err := journal.Parse(text, packSize, has)
//	r := io.MultiReader(j.Replay(chunks), rest)   // rest begins at byte j.Size of the stream
//
// A record is valid if it is complete, its checksum is right, and its chunk exists. The first
// invalid record ends the journal. The bytes of chunks are not checked here: the caller verifies
// the module.
package journal
