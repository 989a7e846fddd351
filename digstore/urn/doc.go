// Package urn reads and writes the addresses of DIG stores, and derives from them the
// keys that find a resource and open it. FORMAT.md, beside this package, describes
// both for other implementations.
//
// # Addresses
//
// A store has an id of 32 bytes, a generation of it a root, and a resource a name,
// which is usually a path:
//
//	urn:dig:chia:<store id>                        the store
//	urn:dig:chia:<store id>/<resource>             a resource, in the current generation
//	urn:dig:chia:<store id>:<root>/<resource>      the same resource in one generation
//
// Parse reads an address, URN.String returns the canonical form: hex in lower case,
// the resource unchanged. A resource may hold any characters; the first slash ends
// the head of the address, further ones belong to the resource. An absent resource
// and an empty one are different addresses. Both address the resource "index.html".
//
// # Two keys from one address
//
// Two keys are derived from the address without its root:
//
//   - the retrieval key, SHA-256 of the canonical text. Key tables hold it and
//     servers are asked for it. It does not show the name.
//   - the content key, HKDF-SHA256 of the same text, under a salt that is fixed
//     for public stores and depends on a secret for private ones. It seals the
//     chunks of the resource (AES-256-GCM-SIV, FORMAT.md 7).
//
// Both stay the same in all generations. A reader that knows the address of a resource
// in a public store can open it. A host that has the sealed bytes and the retrieval
// key cannot. The root in an address is the one that the bytes must prove to; no key
// depends on it.
//
// Sealing is deterministic: the same store, resource, salt and plaintext give the same
// bytes, so the same content gives the same root. A host can see that two chunks of
// one resource are equal, but not that chunks of two resources are.
package urn
