// Package capsule has the slices of datastores, where they are kept, and what a node can prove
// about them.
//
// # Capsules
//
// A capsule is one slice of the content of one generation of a datastore, at most 4 GiB - 1
// long, by default 16 MiB. [Split] cuts content into capsules and returns their [Manifest]. A
// [Descriptor] describes one capsule: its index, its size, the SHA-256 of its content, and the
// root of the tree over its chunks of 4096 bytes.
//
//	chunk leaf    SHA-256("digstore:leaf:v1" || chunk)
//	subroot       merkle.Root of the leaves of 32 chunks, which are one block of 131,072 bytes
//	chunk root    merkle.Root of all chunk leaves, and of all subroots
//	capsule leaf  SHA-256("dig:capsule:leaf:v1" || u32 index || u32 size || hash || chunk root)
//	capsule root  merkle.Root of the capsule leaves in the order of indices
//
// Integers are big-endian. The last chunk is not padded; an empty capsule has one empty chunk.
// The capsule root names the generation here; it is not the root of a module. Since the leaf
// holds the chunk root, a trusted capsule root is enough to check single chunks.
//
// A [Ref] names a capsule by its place. Content is kept under its hash, so that equal capsules
// are one.
//
// # Where they are kept
//
// A [Source] finds and opens capsules, a [Store] also keeps them: content first, with Put, then
// the generation as a whole, with Commit. [Memory] and [Dir] are stores; package capsule/cache
// stands in front of any source, and package capsule/capsuletest tests implementations. What
// comes from another machine, or from a disk, is read through [VerifyReader]; a part of a
// capsule is checked by a [RangeProof].
//
// Which capsule root belongs to a datastore is for a [RootTrust] to say: roots that are
// configured ([PinnedRoots]), root statements signed by a writer of the store ([SignedRoots]),
// or roots computed from modules ([ModuleRoots]). The node that serves a root is no source of
// this.
//
// # Proofs
//
// A validator signs a [Challenge] and sends it to a node. The node's [Responder] checks that it
// may answer, its [Prover] makes the proofs from a plot ([Plots]), and the answer is a signed
// [Bundle] of up to four of them:
//
//	ownership  the node holds the key of the plot
//	inclusion  the capsule is in the generation and in the plot
//	work       about 2^bits hashes were computed for this challenge
//	access     chunks were read, each of which names the next
//
// [Bundle.Verify] checks a bundle and opens no plot. The verifier says at which places it knows
// the capsule: a hash alone is not enough, because every prover can anchor a datastore that
// names it.
// The [Result] says whether the proof is bound to a plot that was announced before the entropy
// was known.
//
// A bundle that holds shows that the holder of the key could retrieve the content at that time.
// It does not show that it keeps a copy of its own, nor where the bytes were. Several keys may
// answer from one copy.
package capsule
