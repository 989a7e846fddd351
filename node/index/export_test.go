package index

import (
	"bytes"
	"crypto/sha256"
)

// LoadPayload loads a snapshot whose checksum is made right.
func LoadPayload(b []byte) (*Index, error) {
	b = bytes.Clone(b[:max(0, len(b)-sha256.Size)])
	sum := sha256.Sum256(b)
	b = append(b, sum[:]...)
	return load(bytes.NewReader(b), int64(len(b)))
}
