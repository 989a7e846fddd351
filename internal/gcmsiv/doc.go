// Package gcmsiv is AES-256-GCM-SIV, the authenticated encryption of RFC 8452:
// one key, one 12-byte nonce, and a sealed message that is 16 bytes longer than
// its plaintext.
//
// # Construction
//
// From key and nonce come two keys: one of 16 bytes for POLYVAL, a polynomial
// hash over GF(2^128), and one of 32 bytes for AES-256. A message is sealed in two
// passes:
//
//   - POLYVAL hashes the additional data, the plaintext (each padded with zeros
//     to whole 16-byte blocks) and their lengths in bits. The hash, with the
//     nonce added to its first 12 bytes and the top bit of its last byte cleared,
//     is encrypted with AES: this is the tag.
//   - The plaintext is encrypted in counter mode. The first counter block is the
//     tag with the top bit of its last byte set; its first four bytes,
//     little-endian, count the blocks and wrap around.
//
// The sealed message is the ciphertext followed by the tag. Opening decrypts
// first and hashes what comes out; when the tag differs, the plaintext is
// overwritten and [ErrOpen] returned.
//
// # The fixed nonce
//
// A digstore seals every chunk of a resource with 12 zero bytes as nonce and no
// additional data (digstore/urn/FORMAT.md 7); its key comes from the resource's URN and, in
// a private store, a secret salt. With AES-GCM that would be fatal. Here the
// counter starts at the tag, a keyed function of the whole plaintext, so that
// different chunks under one key get different key streams: those of two chunks of
// m and n blocks meet with a probability of about (m+n) / 2^127, which is below
// 2^-111 for the longest chunks there are. And the hash is never sent in the clear, so
// that many messages under one nonce tell nothing about its key. What a fixed
// nonce does give away is equality: equal plaintexts under one key seal to
// equal bytes. Digstore wants exactly that, since chunks are named by the hash of
// their sealed bytes and stored once.
//
// Everything that depends on key and nonce only is computed once, by
// [AEAD.WithNonce]: the two keys, the key schedule, the powers of the hash key.
// Make one [Sealer] for a resource and use it for all its chunks.
//
// # Engines
//
// What runs is chosen when an [AEAD] is made, by what the processor has: on amd64
// AVX-512 with VAES and VPCLMULQDQ, or AES, PCLMULQDQ and AVX; on arm64 AES and
// PMULL; else, and always with the build tag purego, portable Go. The assembly is
// written by internal/tools/gcmsivasm.
//
// # Timing
//
// Time and memory accesses depend on the lengths of the inputs and on whether a
// message is genuine, and on nothing else. The processor's AES and
// carry-less multiplication take a fixed time. The portable code reads no table:
// its AES is a circuit of word operations over sixteen blocks at once (so is its
// key schedule), its POLYVAL consists of 64-bit integer multiplications, shifts and
// masks, which take a fixed time on the processors Go runs on but for some
// 32-bit ones of the past, whose multiplication stops early. Tags are compared
// in constant time. Keys are not wiped from memory: Go gives no means that holds.
package gcmsiv

//go:generate go run -C ../tools ./gcmsivasm ../gcmsiv
