// Package journal encodes and decodes the journal of a transfer: the record of how the bytes of a
// module that have come are made up of chunks, which are in packs, and other bytes. With it a
// transfer that broke off continues where it ended. It works on an io.Writer and byte slices;
// package incoming keeps the file. LAYOUT.md 10.2 is the format.
//
// A [Writer] sees what is read of the stream and the chunks that are found in it, and writes
// records. [Parse] reads them back, and [Journal.Replay] gives the bytes again:
//
//	j, err := journal.Parse(text, packSize, has)
//	r := io.MultiReader(j.Replay(chunks), rest)   // rest begins at byte j.Size of the stream
//
// A record counts if it is complete, its checksum holds, and the chunk that it names is there. The
// first record that does not count ends the journal. The bytes of chunks are not checked here: the
// module that they make is verified.
package journal
