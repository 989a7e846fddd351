package capsule

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	"github.com/dig-network/digstore/capsule/internal/workhash"
	"github.com/dig-network/digstore/merkle"
)

// WorkInput has the values that a work hash covers besides the nonce. In a work proof
// TableDataHash is the chunk root and PreviousHash the challenge digest; in a plot PreviousHash
// is the hash of table C5.
type WorkInput struct {
	TableDataHash merkle.Hash
	PreviousHash  merkle.Hash
	PlotSeed      merkle.Hash
	CapsuleHash   merkle.Hash
}

const workSize = workhash.Size

// Hash returns the work hash of a nonce:
//
//	SHA-256(table data hash || previous hash || u64 nonce || plot seed || capsule hash)
func (in WorkInput) Hash(nonce uint64) merkle.Hash {
	b := in.Message(nonce)
	return sha256.Sum256(b[:])
}

// Message returns the 136 bytes that Hash hashes.
func (in WorkInput) Message(nonce uint64) (b [workSize]byte) {
	copy(b[:], in.TableDataHash[:])
	copy(b[32:], in.PreviousHash[:])
	binary.BigEndian.PutUint64(b[64:], nonce)
	copy(b[72:], in.PlotSeed[:])
	copy(b[104:], in.CapsuleHash[:])
	return b
}

// ZeroBits returns the number of leading zero bits of h: 0 to 256.
func ZeroBits(h merkle.Hash) int {
	for i := 0; i < len(h); i += 8 {
		if v := binary.BigEndian.Uint64(h[i:]); v != 0 {
			return i*8 + bits.LeadingZeros64(v)
		}
	}
	return 8 * len(h)
}

// Worker searches nonces. Implementations are safe for concurrent use.
type Worker interface {
	// Search returns the lowest nonce whose hash has at least bits leading zero bits. It ends
	// within 10 ms of the end of ctx, with its error.
	Search(ctx context.Context, in WorkInput, bits int) (nonce uint64, err error)
	// Name says what does the work, for reports: as in "cpu".
	Name() string
}
