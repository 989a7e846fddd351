// Package auth has the identities of the DIG Network: store ids, keys, signatures, and the
// signed statements that belong to a store.
//
// # Identities
//
// Users and stores have BLS12-381 keys in Chia's augmented scheme. A [Key] is made from a seed of
// 32 bytes, which is the content of a key file (remote/PROTOCOL.md 3.8). A [StoreID] names a store.
// It is the launcher id of the store's coin or, for a store without a coin, the hash of its
// publisher's key ([StoreIDFromKey]). In general a store id proves no key.
//
// Nodes have Ed25519 keys of a separate type, [NodeKey]. The short form dig1… ([NodeID]) is a
// label for display; it has only 8 bytes of the key and proves nothing.
//
// # Signing and verifying
//
// A [Signer] signs for one public key: a *[Key], a hardware module, a wallet. A [Verifier] is a
// valid public key: on the curve, in the subgroup and not the point at infinity. [NewVerifier]
// makes these checks once; Verify then only computes the pairing.
//
// # Statements
//
//   - [SignedRoot]: the publisher states that a root is a generation of a store. It has two
//     forms, tagged and untagged, which sign different messages (remote/PROTOCOL.md 1.3).
//   - [Tombstone]: the publisher revokes a generation, or the whole store (remote/PROTOCOL.md 7).
//
// This package checks that a key signed a statement. Whether that key is the publisher's is for
// the caller to know, from the module, a pin or the chain.
//
// Package auth/request signs and checks requests to servers.
//
// # Secrets
//
// Key and NodeKey print a fingerprint of their public key under every verb of package fmt, in
// JSON and in logs. Only the method Seed and key files give the seed. Signing runs in constant
// time.
package auth
