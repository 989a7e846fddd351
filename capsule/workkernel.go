package capsule

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"hash"

	"github.com/dig-network/digstore/merkle"
)

// savedState is crypto/sha256 after the first 64 bytes of the message, which never change.
func (in WorkInput) savedState() []byte {
	msg := in.message(0)
	h := sha256.New()
	h.Write(msg[:64])
	state, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		panic("capsule: saved state of SHA-256: " + err.Error()) // never fails
	}
	return state
}

// portableKernel hashes with crypto/sha256 from its saved state: two compressions for each nonce, and the cost
// of restoring the state.
type portableKernel struct {
	bits  int
	state []byte
	hash  hash.Hash
	tail  [workSize - 64]byte
	sum   merkle.Hash
}

func newPortableKernel(in WorkInput, bits int) *portableKernel {
	k := &portableKernel{bits: bits, state: in.savedState(), hash: sha256.New()}
	msg := in.message(0)
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
