package tier

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"

	"github.com/dig-network/digstore/merkle"
)

// Relocated returns a state file in which one path is replaced by another.
func Relocated(text []byte, from, to string) []byte {
	var e struct {
		Version int             `json:"version"`
		Sum     merkle.Hash     `json:"sha256"`
		State   json.RawMessage `json:"state"`
	}
	if err := json.Unmarshal(text, &e); err != nil {
		panic(err)
	}
	e.State = bytes.ReplaceAll(e.State, []byte(from), []byte(to))
	e.Sum = sha256.Sum256(e.State)
	out, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	return out
}

// Uncache takes a content out of L1 and L2.
func (t *Tiers) Uncache(hash merkle.Hash) { t.cache.RemoveHash(hash) }
