// Package urn reads and writes the addresses of DIG stores and derives from
// them what is needed to find a resource and to read it.
//
// # Addresses
//
// A store is named by 32 bytes, a generation of it by its root, a resource by a
// text that is usually a path:
//
//	urn:dig:chia:<store id>                        the store
//	urn:dig:chia:<store id>/<resource>             a resource, in the current generation
//	urn:dig:chia:<store id>:<root>/<resource>      the same resource in one generation
//
// Parse reads one, URN.String writes it canonically: hex in lower case, the
// resource as it stands. A resource may hold any characters; the first slash
// ends the head of the address, all further ones are the resource's own.
// An absent resource and an empty one are different addresses, and both mean
// the resource "index.html".
//
// # Two keys from one address
//
// From the address without its root come
//
//   - the retrieval key, SHA-256 of its canonical text. Key tables store it and
//     servers are asked for it; it tells nothing about the name.
//   - the content key, HKDF-SHA256 of the same text, under a salt that is fixed
//     for public stores and depends on a secret for private ones. With it the
//     chunks of the resource are sealed (AES-256-GCM-SIV, FORMAT.md 7).
//
// Both therefore stay the same from generation to generation, and whoever knows
// the address of a resource in a public store can read it, while a host that
// keeps the sealed bytes under their retrieval key cannot. The root in an
// address never reaches either key: it says which root the bytes must prove to.
//
// Sealing is deterministic: the same resource, store, salt and plaintext always
// give the same bytes, hence the same roots. Equal chunks of one resource are
// therefore visibly equal; chunks of different resources never are.
package urn
