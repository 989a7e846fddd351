// Package auth says who is who in the dig network, and who may do what: store ids, keys, and the
// long-lived signed statements that travel with stores.
//
// # Identities
//
// People and stores have BLS12-381 keys in Chia's augmented scheme. A [Key] is made from a seed of
// 32 bytes, and the seed is what key files hold (remote/PROTOCOL.md 3.8). A [StoreID] names a store. It
// is the launcher id of the store's coin or, before there is any chain, the hash of its publisher's
// key ([StoreIDFromKey]); in general it is not bound to any key, and no trust follows from it.
//
// Nodes have Ed25519 keys of their own type, [NodeKey], so that one cannot be used for the other.
// Their short form dig1… ([NodeID]) is a label: 8 bytes of a key prove nothing.
//
// # Signing and verifying
//
// A [Signer] is anything that signs for one public key: a *[Key], a hardware module, a wallet. A
// [Verifier] is one public key that was found to be on the curve, in the subgroup and not the point
// at infinity; [NewVerifier] checks that once, and Verify then only costs the pairing.
//
// # Statements
//
//   - [SignedRoot]: the publisher says that a root is a generation of a store. It has two forms,
//     tagged and untagged, which sign different preimages (remote/PROTOCOL.md 1.3).
//   - [Tombstone]: the publisher revokes a generation, or the whole store (remote/PROTOCOL.md 7).
//
// Which key is the publisher's is settled elsewhere: by the module, a pin or the chain. The checks
// here answer only whether that key signed these bytes.
//
// Requests to servers are signed too, but they are short-lived: package auth/request.
//
// # Secrets
//
// Key and NodeKey print a fingerprint of their public half under every verb of package fmt, in
// JSON and in logs. The seed leaves only through Seed and the key file. Signing runs in constant time.
package auth
