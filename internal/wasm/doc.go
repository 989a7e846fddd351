// Package wasm reads and writes the parts of WebAssembly that a .dig file needs. It finds
// the data segment that holds a blob, in a file or in a stream, and adds one to a
// template. It executes no code.
//
// A module is a preamble of 8 bytes and sections, each of which has an id, a size and a
// body. The data section is a list of segments. An active segment has a constant
// expression for the memory address of its bytes. The blob is the last segment at a
// fixed address for which the match function of the caller returns true. Other parts
// are skipped after these checks, which are those of the reference implementation:
// sections are in order and occur at most once; lists begin with a count; names are
// UTF-8; the number of function bodies is that of the functions, and the number of data
// segments the announced one; every section and body ends where its size says. An
// address of more than one instruction is refused. Other implementations therefore
// read an accepted module in the same way.
//
//   - [Find] searches an io.ReaderAt. It reads headers, and what the match function
//     reads.
//   - A [Scanner] reads an io.Reader once, without reading ahead.
//   - [Place] returns the bytes before and after a payload in a template. The payload
//     may have any length and need not exist yet.
//   - [Check] checks the imports, exports and memory of a template.
//
// Numbers of a module are LEB128 of 32 bits. They are read in any form of up to five
// bytes and written in the shortest form.
//
// See digstore/module/FORMAT.md 3 and 6.4.
package wasm
