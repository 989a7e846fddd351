package sealer

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"

	"github.com/dig-network/digstore/merkle"
)

// leafHash hashes the sealed bytes of one resource, chunk after chunk: its leaf (module/FORMAT.md
// 1.3).
type leafHash struct{ h hash.Hash }

func newLeafHash() *leafHash { return &leafHash{sha256.New()} }

func (l *leafHash) add(b []byte) { l.h.Write(b) }

// frames adds the chunks of whole frames, without their lengths.
func (l *leafHash) frames(b []byte) {
	for len(b) > 0 {
		n := 4 + int(binary.BigEndian.Uint32(b))
		l.h.Write(b[4:n])
		b = b[n:]
	}
}

func (l *leafHash) sum() (sum merkle.Hash) {
	l.h.Sum(sum[:0])
	return sum
}
