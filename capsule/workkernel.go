package capsule

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"hash"

	"github.com/dig-network/digstore/capsule/internal/workhash"
	"github.com/dig-network/digstore/merkle"
)

// portableKernel hashes with crypto/sha256 from its saved state: two compressions for each
// nonce, and the cost of restoring the state.
type portableKernel struct {
	bits  int
	state []byte
	hash  hash.Hash
	tail  [workSize - 64]byte
	sum   merkle.Hash
}

func newPortableKernel(in WorkInput, bits int) *portableKernel {
	msg := in.Message(0)
	k := &portableKernel{bits: bits, state: workhash.SavedState(&msg), hash: sha256.New()}
	copy(k.tail[:], msg[64:])
	return k
}

func (k *portableKernel) search(from, count uint64) (uint64, bool) {
	restore := k.hash.(encoding.BinaryUnmarshaler)
	for nonce := from; nonce-from < count; nonce++ {
		if err := restore.UnmarshalBinary(k.state); err != nil {
			panic("capsule: saved state of SHA-256: " + err.Error()) // it is our own
		}
		binary.BigEndian.PutUint64(k.tail[:], nonce)
		k.hash.Write(k.tail[:])
		k.hash.Sum(k.sum[:0])
		if ZeroBits(k.sum) >= k.bits {
			return nonce, true
		}
	}
	return 0, false
}
