// Package module reads and writes .dig files, called modules. A module holds one
// generation of a store: its resources, sealed, and the tables that find a resource
// and prove that it belongs to the generation. This package executes no code of a
// module.
//
// # The file
//
//	WebAssembly module     preamble, sections; its code is not executed
//	└ data section
//	  └ data segment       active, at address 0x200000, begins with "DIGS";
//	    │                  of several, the last one counts
//	    └ blob             "DIGS", version 1, the number of sections, and for each
//	      │                its id, offset and length; then the bodies
//	      ├ 1 StoreId      32 bytes
//	      ├ 2 CurrentRoot  32 bytes, the root
//	      ├ 3 RootHistory  a list of roots; writers put in the root alone
//	      ├ 4 PublicKey    48 bytes, the publisher key
//	      ├ 5 TrustedKeys, 6 Metadata, 7 AuthInfo
//	      ├ 8 KeyTable     for each resource its retrieval key and the indices of
//	      │                its chunks
//	      ├ 9 ChunkPool    each distinct sealed chunk, after its length
//	      ├ 10 MerkleNodes the leaves: for each resource the SHA-256 of its
//	      │                sealed bytes, in the order of the retrieval keys
//	      ├ 12 ChainState, 13 PublicManifest, both optional
//	      └ 11 Filler      hides the length of the content
//
// FORMAT.md, beside this package, describes the file byte by byte.
//
// The plaintext of a resource is cut into pieces by its content (FORMAT.md 2.2). Each
// piece is sealed with a key that is derived from the address of the resource
// (package urn). The root is the merkle root over the leaves (package merkle). It
// depends on the store id, the names, the content and, in a private store, the salt.
// It does not depend on the order of resources, the publisher, metadata or padding.
//
// # Reading
//
// Open reads the headers and verifies nothing. Verify recomputes the root from the
// leaves and the leaves from the chunks; the caller compares root, store id and key
// with the expected ones. Find looks a resource up by its retrieval key,
// Resource.Proof proves it, and Resource.Open returns its plaintext as an
// io.ReadSeeker.
//
// # Writing
//
// A Builder takes names and plaintext. Compose takes the ids and lengths of the chunks
// of all resources, and lays out the module without reading a chunk.
//
// # Recipes
//
// The generations of a store have most chunks in common. A store keeps each chunk once,
// and of each module a Recipe: everything but the chunks. Decompose makes one from a
// module that is read as a stream, whoever wrote it. Recipe.Image returns the same
// bytes again.
//
// A Recipe consists of columns: ids and lengths of the chunks; retrieval keys, numbers
// of chunks and indices in the pool; and leaves that are not the id of a single chunk.
// Bytes that follow from these, and filler, are left out. A list of parts describes the
// order. A module with another layout has no columns and more plain bytes.
package module
