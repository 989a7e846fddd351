// Package plot keeps capsules in plot files: many capsules of one or more
// datastores in one file that never changes, is signed by the key of a node,
// finds any capsule with one read, and detects every damage.
//
// # Writing
//
// [Create] begins a plot of the capsules of some manifests. The [Writer] asks
// for their content in order ([Writer.Next], [Writer.Add], or
// [Writer.AddFrom]), and [Writer.Seal] makes the file a plot: its first page
// is written last, so that an interrupted one is never taken for a plot. With
// Options.Resume the next Create continues where the last one was interrupted,
// and the file ends with the same bytes.
//
// # Reading
//
// [Open] checks the header, the chain of tables and the signature in a few
// reads. [Reader.Lookup] and [Reader.LookupHash] find records, and
// [Reader.Capsule] returns content as an io.ReadSeeker, io.ReaderAt and
// io.WriterTo. In mode [Verified] each block is checked against the chunk root
// of the caller's descriptor, so that neither the disk nor the maker of the plot
// can substitute other content. A [Set] is the plots of some directories, whose
// files may be added and removed meanwhile.
//
// # Checking and repairing
//
// There are three levels. Opening checks the header, the footer, the chain of
// tables, the identity and the signature. [Quick] adds all tables, [Full] all
// content: then every byte of the file has been checked. [Repair] writes
// damaged blocks again in place from another source, and damaged tables from a
// copy of the file; neither need be trusted. [Salvage] finds what is left in a
// file that has lost its tables and has no copy.
//
// # The file
//
// FORMAT.md beside this package describes the file byte by byte. All errors
// about a file are a [*FormatError] of one of the classes of this package.
// Counts in a file are checked against its size before anything is allocated.
//
// A Reader and a Set are safe for concurrent use; a Writer is for one
// goroutine. Package capsule proves to others what a plot holds.
package plot
