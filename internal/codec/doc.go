// Package codec reads and writes the streamable encoding that all binary
// structures of a store are made of: big-endian integers of fixed width, raw
// arrays, and counts or lengths of 32 bits before anything that varies. There
// is no padding and no self-description, so the structures themselves live in
// the packages that own them and this one has only the primitives.
//
//	u8 u16 u32 u64   1, 2, 4, 8 bytes
//	[N]byte          N raw bytes
//	bytes, String    u32 length, then so many bytes; a String is UTF-8
//	Vec<T>           u32 count, then so many T
//	Option<T>        00, or 01 and T
//	bool             00 or 01
//
// [Reader] and [Writer] keep their first error: a structure is read or written
// field by field, and the error is asked for once, at the end. After an error a
// Reader gives zeros, empty slices and counts of 0, so loops end by themselves.
//
// Nothing is allocated on the word of the input. A count is accepted only when
// as many of the smallest items would fit in what remains, and Bytes and String
// are bounded by what is there.
//
// See digstore/module/FORMAT.md 1.2.
package codec
