// Package wasm reads and writes as much WebAssembly as a .dig file needs: it
// finds the data segment that holds the content of a store, in a file or in a
// stream, and puts one at the end of a template. It executes nothing.
//
// A module is a preamble of 8 bytes and then sections, each an id, a size and a
// body. One section, the data section, is a list of segments; an active one
// says by a constant expression at which address of the memory its bytes are
// to stand. The content of a store is the last segment at one fixed address
// whose bytes the caller recognises. Whatever else a module has is passed over
// by its size, after these checks, which are those of the reference's reader:
// sections stand in their order and at most once, lists begin with a count,
// names are UTF-8, there are as many bodies of functions as functions and as
// many data segments as announced, and every section and body ends where its
// size says. An active segment whose address takes more than one instruction
// is refused. So what passes here, other implementations read in the same way.
//
//   - [Find] looks through an io.ReaderAt and touches only headers and what
//     the caller's match reads.
//   - A [Scanner] goes through an io.Reader once, without reading ahead.
//   - [Place] gives the bytes before and after a payload that is put into a
//     template; the payload itself may be of any length and need not exist yet.
//   - [Check] says whether a template has the imports, exports and memory that
//     its host will want.
//
// Numbers of a module are LEB128 of 32 bits. They are read in any length of up
// to five bytes and written in the shortest.
//
// See digstore/module/FORMAT.md 3 and 6.4.
package wasm
