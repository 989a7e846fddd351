// Package module reads and writes .dig files. A .dig file, a module, holds one
// generation of a store: its resources, sealed, with what is needed to find one
// and to prove that it belongs to the generation. Nothing in it is executed.
//
// # The file
//
// From the outside in:
//
//	WebAssembly module     preamble, sections; code that nobody here runs
//	└ data section
//	  └ data segment       active, at address 0x200000, beginning "DIGS";
//	    │                  of several, the last
//	    └ blob             "DIGS", version 1, number of sections, and for each
//	      │                its id, offset and length; then the bodies
//	      ├ 1 StoreId      32 bytes
//	      ├ 2 CurrentRoot  32 bytes: the root, see below
//	      ├ 3 RootHistory  a list, in practice of the root alone
//	      ├ 4 PublicKey    48 bytes: who publishes the store
//	      ├ 5 TrustedKeys, 6 Metadata, 7 AuthInfo
//	      ├ 8 KeyTable     for each resource its retrieval key, and which chunks
//	      │                of the pool it is made of
//	      ├ 9 ChunkPool    each sealed chunk once, with its length in front
//	      ├ 10 MerkleNodes the leaves: for each resource the SHA-256 of its
//	      │                sealed bytes, in the order of the retrieval keys
//	      ├ 12 ChainState, 13 PublicManifest, where there are any
//	      └ 11 Filler      so that the length tells less
//
// Numbers in the blob are big-endian. FORMAT.md, beside this package, has the rules.
//
// A resource's plaintext is cut where its content says (FORMAT.md 2.2), each
// piece is sealed with a key that comes from the resource's address (package
// urn), and the root is the merkle root over the leaves (package merkle). So the
// root depends on the store, the names, the content and, in a private store, the
// salt; it does not depend on the order of resources, the publisher, metadata or
// padding.
//
// # Reading
//
// Open reads a few headers and believes nothing. Verify recomputes the root from
// the leaves and the leaves from the chunks; it does not say that the root, the
// store or the key are the ones that are wanted, which only the caller can know.
// Find looks a resource up by its retrieval key, Resource.Proof proves it, and
// Resource.Open gives its plaintext as an io.ReadSeeker.
//
// # Writing
//
// A Builder takes names and plaintext. Compose takes what a store already knows
// of its resources, ids and lengths of their chunks, and lays out the module
// without touching a chunk.
//
// # Recipes
//
// Generations of a store share most of their chunks, so a store keeps each chunk
// once and of each module only a Recipe: all the rest of it. Decompose makes one
// from a module that comes as a stream, whoever wrote that module, and
// Recipe.Image gives back the same bytes.
//
// A Recipe is columns: the chunks, their ids and lengths; the key table as keys,
// numbers of chunks and places in the pool; the leaves that are not the id of a
// single chunk. Everything that follows from these is left out, as is standard
// filler. A list of parts says how the module is put together again. A module
// that is not laid out as ours are has more plain bytes in it, and no table.
package module
