// Package capsule has the slices of datastores and what can be proved about them.
//
// A capsule is one slice of the content of one generation of a datastore, at most 4 GiB - 1 long, by default
// 16 MiB. [Split] cuts content into capsules and returns their [Manifest]. A [Descriptor] describes one capsule:
// its index, its size, the SHA-256 of its content, and the root of the tree over its chunks of 4096 bytes:
//
//	chunk leaf    SHA-256("digstore:leaf:v1" || chunk)
//	chunk root    merkle.Root of the chunk leaves
//	capsule leaf  SHA-256("dig:capsule:leaf:v1" || u32 index || u32 size || hash || chunk root)
//	capsule root  merkle.Root of the capsule leaves in the order of indices
//
// Integers are big-endian. The capsule root names the generation here; it is not the root of a module.
package capsule
