// Package cache keeps capsules that are read often in memory and on a fast disk, in front of any
// capsule.Source.
//
// There are two tiers. L1 is memory, bounded by bytes, and the least recently used capsule
// leaves it first. L2 is memory or, with Options.Dir, files, bounded by bytes, and the least
// frequently used leaves it first, where old use counts less and less. A read goes this way:
//
//  1. In L1: that is an [L1Hit].
//  2. In L2: it is copied to L1 and stays in L2. That is an [L2Hit].
//  3. Else it is read from the source, verified, and put into L2 alone. That is a [DiskRead].
//
// So a capsule that is read once never comes into L1, and the second read promotes it. Without
// L2, what is read goes to L1. A capsule larger than a quarter of a tier is not admitted to that
// tier; one that no tier admits is streamed. Everything that is handed out has been verified
// against its descriptor.
//
// Content whose source verifies it piece by piece ([VerifiedReader]) is handed out while the rest
// is still being read. It is hashed as a whole, where that says more, and written to the files of
// L2 after that.
//
// Reads of the same capsule at the same time share one load. All loads together hold a bounded
// number of bytes. That something is absent is remembered for five seconds.
//
// Content is kept once under its hash, whatever the number of its places. What a datastore has
// in the cache is dropped by [Cache.Remove].
//
// [Cache.Run] prefetches for clients that read one capsule after the other. [Cache.Pin] keeps a
// capsule in L1.
//
// What leaves a tier is decided by a [Policy]: [NewLRU] and [NewLFU].
package cache
