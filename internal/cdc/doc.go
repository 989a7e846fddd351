// Package cdc cuts data into chunks at places that its content chooses, so that
// data which has mostly stayed the same has mostly the same chunks. Where the
// cuts fall is part of the store format: every implementation must find the
// same ones.
//
// A hash runs over each chunk from its first byte,
//
//	h = h<<1 + table[byte]  (mod 2^64)
//
// and the chunk ends where it is at least Min bytes long and the low bits of h
// are all zero, as many bits as make Target bytes a power of two; or at Max
// bytes; or with the data. At most Min bytes at the end of the data are one
// chunk. There are no chunks of nothing.
//
// [Next] finds the first cut of a slice, [Cuts] all of them, [CutsParallel] all
// of them with several processors, and a [Reader] cuts a stream. All find the
// same ones.
//
// # Speed
//
// A byte is shifted out of the low k bits of h by the k bytes after it. With the
// usual mask of 16 bits the hash at a place is therefore that of the 16 bytes
// before it, wherever the chunk began. So the search starts 16 bytes before the
// first place where a cut is allowed, and the Min bytes before that are not
// looked at; it takes two bytes to a step, which halves the chain of dependent
// additions; and parts of one buffer can be cut apart from each other, because
// two chains of cuts that meet once stay together.
//
// See digstore/module/FORMAT.md 2.2.
package cdc
