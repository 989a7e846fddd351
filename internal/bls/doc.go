// Package bls signs and verifies over BLS12-381 with keys in G1 (48 bytes) and
// signatures in G2 (96 bytes), both in the ZCash compressed encoding.
//
// The project signs with one scheme, [Augmented]: the 48 bytes of the public key
// go before the message and the domain tag ends in AUG. The
// schemes [Basic] and [Possession] of the same IETF draft are there because most
// published vectors are made with them; they share every line of code but the tag
// and the augmentation. Keys come from seeds by draft 3 of the draft's KeyGen
// ([KeyGenV3]), which is Chia's.
//
// # What is checked where
//
// A value of type [PublicKey] or [Signature] exists only when its encoding was
// canonical, on the curve and in the subgroup of prime order, so the verifying
// functions need not look again. A public key is besides never the point at
// infinity. A signature may be (an aggregate of nothing is), but no verifying
// function accepts it.
//
// # The twins
//
// The arithmetic has two implementations: blst.go over supranational/blst with
// cgo, circl.go over cloudflare/circl without. This package is the only importer
// of blst in the module, so a program needs no C compiler when cgo is off. Each of
// the two files has the same few unexported names: scalar, g1, g2 and product,
// the last being the equation that every verification comes down to. Everything
// else (schemes, parsing errors, aggregates, batches) is written once, on top.
//
// They are held together three ways. Both builds run the same vectors
// (go test ./internal/bls and CGO_ENABLED=0 go test ./internal/bls). Both hold the
// same golden file in testdata, which was made by either. And the build with cgo
// compares itself with circl's own signatures on drawn keys and messages.
//
// The forms of blst that spread work over goroutines are not used: a verification
// takes less than a millisecond, callers have many of them at once, and nothing
// here leaves a goroutine behind. Every function may be called concurrently.
package bls
