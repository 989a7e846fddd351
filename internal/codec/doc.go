// Package codec reads and writes the primitives of the binary encoding of stores:
// big-endian integers of fixed width, raw arrays, and values of variable length after
// a count or length of 32 bits. There is no padding and no self-description. The
// structures are in the packages that own them.
//
//	u8 u16 u32 u64   1, 2, 4, 8 bytes
//	[N]byte          N raw bytes
//	bytes, String    u32 length, then the bytes; a String is UTF-8
//	Vec<T>           u32 count, then the items
//	Option<T>        00, or 01 and T
//	bool             00 or 01
//
// [Reader] and [Writer] keep their first error: a caller reads or writes a structure
// field by field, and checks the error once, at the end. After an error a Reader
// returns zeros, empty slices and counts of 0, so loops end.
//
// A count is accepted only if that many of the smallest items fit into the rest of the
// input, and a length only if the bytes are there. Allocations are therefore
// proportional to the input.
//
// See digstore/module/FORMAT.md 1.2.
package codec
