// Package cdc implements content-defined chunking: it cuts data at offsets that depend
// on the content, so that two versions of a file have most chunks in common. The cuts
// are part of the store format (digstore/module/FORMAT.md 2.2); every implementation
// has to find the same ones.
//
// A hash runs over each chunk from its first byte,
//
//	h = h<<1 + table[byte]  (mod 2^64)
//
// and the chunk ends where it has at least Min bytes and the low floor(log2 Target)
// bits of h are zero, or at Max bytes, or at the end of the data. A rest of at most Min
// bytes is one chunk. No chunk is empty.
//
// [Next] returns the first cut of a slice, [Cuts] all cuts, [CutsParallel] all cuts on
// several goroutines, and a [Reader] cuts a stream. All return the same cuts.
//
// # Speed
//
// The low k bits of h depend on the last k bytes only. With the usual mask of 16 bits
// the masked hash at an offset is that of the 16 bytes before it, wherever the chunk
// began. The search therefore starts 16 bytes before the first permitted cut and skips
// the bytes before that. It processes two bytes in a step, which halves the chain of
// dependent additions. Parts of one buffer can be cut independently, because two
// sequences of cuts that have one cut in common agree from there on.
package cdc
