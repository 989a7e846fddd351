package server

import (
	"crypto/cipher"
	"encoding/binary"
	"fmt"

	"golang.org/x/crypto/chacha20"

	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// Sizes of guest decoys in bytes.
const (
	guestSmallest  = 1024
	guestLargest   = 256 << 10
	guestOneChunk  = 64 << 10
	guestLeastPart = 32 << 10
)

// GuestDecoy returns the response of the reference's guest program for a key that is missing or not
// permitted (remote/PROTOCOL.md 8.4), with that root. The formula is public.
func GuestDecoy(key, root merkle.Hash) *module.ContentResponse {
	size := guestSize(key)
	step := seed(key, "digstore-decoy-step-v1")
	return &module.ContentResponse{
		Sealed: keystream(seed(key, "digstore-decoy-bytes-v1"), size),
		Proof: merkle.Proof{Leaf: seed(key, "digstore-decoy-leaf-v1"),
			Path: []merkle.Step{{Hash: step, Left: step[0]&1 == 1}}, Root: root},
		Root:      root,
		ChunkLens: guestLens(key, size),
	}
}

func guestDecoy(key, root merkle.Hash) *SealedResource {
	r := GuestDecoy(key, root)
	return inMemory(r.Sealed, root, &r.Proof, r.ChunkLens)
}

// guestSize returns a size in bytes, log-uniform over eight octaves.
func guestSize(key merkle.Hash) int {
	s := seed(key, "digstore-decoy-size-v1")
	v := binary.BigEndian.Uint64(s[:])
	lo := uint64(guestSmallest) << (v >> 61)
	hi := min(2*lo, guestLargest)
	return int(min(max(lo+(v&0xffffffff)*(hi-lo)>>32, guestSmallest), guestLargest))
}

func guestLens(key merkle.Hash, size int) []uint32 {
	if size <= guestOneChunk {
		return []uint32{uint32(size)}
	}
	random := keystream(seed(key, "digstore-decoy-chunklens-v1"), 4*(size/guestOneChunk+2))
	var lens []uint32
	rest := uint32(size)
	for rest > guestOneChunk {
		c := guestLeastPart + binary.BigEndian.Uint32(random)%guestOneChunk
		random = random[4:]
		if rest < c+guestLeastPart {
			c = rest
		}
		lens, rest = append(lens, c), rest-c
	}
	if rest > 0 {
		lens = append(lens, rest)
	}
	return lens
}

// seed returns H(key || tag).
func seed(key merkle.Hash, tag string) merkle.Hash {
	return merkle.Sum(append(key[:len(key):len(key)], tag...))
}

// keystream returns n bytes of ChaCha20 with a zero nonce.
func keystream(key merkle.Hash, n int) []byte {
	c, err := chacha20.NewUnauthenticatedCipher(key[:], make([]byte, chacha20.NonceSize))
	if err != nil {
		panic(fmt.Sprintf("chacha20: %v", err)) // key and nonce lengths are correct
	}
	var s cipher.Stream = c
	b := make([]byte, n)
	s.XORKeyStream(b, b)
	return b
}
