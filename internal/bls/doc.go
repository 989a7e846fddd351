// Package bls signs and verifies over BLS12-381, with keys in G1 (48 bytes) and
// signatures in G2 (96 bytes), both in the ZCash compressed encoding.
//
// The project uses the scheme [Augmented]: the 48 bytes of the public key precede the
// message, and the domain tag ends in AUG. The schemes [Basic] and [Possession] of the
// same IETF draft are for published test vectors. They differ in the tag and the
// augmentation only. Keys are derived from seeds by KeyGen of draft 3 ([KeyGenV3]), as
// Chia does.
//
// # Validation
//
// [ParsePublicKey] and [ParseSignature] accept canonical encodings of points on the curve
// and in the subgroup of prime order, so verification does not check this again. A public
// key is never the point at infinity. A signature may be, as the aggregate of no
// signatures is, but it never verifies.
//
// # Implementations
//
// The arithmetic has two implementations: blst.go over supranational/blst with cgo, and
// circl.go over cloudflare/circl without. No other package of the module imports blst, so
// a program needs no C compiler when cgo is off. Both files define the same unexported
// names: scalar, g1, g2, and product, the equation of a verification. Schemes, parsing
// errors, aggregates and batches are implemented once.
//
// Both builds run the same vectors (go test ./internal/bls and CGO_ENABLED=0 go test
// ./internal/bls) and compare with the same golden file in testdata. The build with cgo
// also compares with signatures of circl for random keys and messages.
//
// The functions of blst that use several goroutines are not used: a verification takes
// less than a millisecond, and callers have many of them at once. All functions are safe
// for concurrent use.
package bls
