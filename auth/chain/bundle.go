package chain

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// A Bundle is a list of spends that the network accepts or refuses as a whole, with the
// aggregate of the signatures that they need.
type Bundle struct {
	Spends    []CoinSpend
	Signature auth.Signature
}

// ID returns the id that nodes give the bundle. It depends on the order of the spends:
//
//	SHA-256(number of spends || for each: parent || puzzle hash || amount || puzzle || solution
//	|| signature)
//
// The number has 4 bytes and an amount 8, big-endian. There are no length prefixes.
func (b *Bundle) ID() merkle.Hash {
	h := sha256.New()
	var number [8]byte
	binary.BigEndian.PutUint32(number[:4], uint32(len(b.Spends)))
	h.Write(number[:4])
	for _, sp := range b.Spends {
		h.Write(sp.Coin.Parent[:])
		h.Write(sp.Coin.PuzzleHash[:])
		binary.BigEndian.PutUint64(number[:], sp.Coin.Amount)
		h.Write(number[:])
		h.Write(sp.Puzzle)
		h.Write(sp.Solution)
	}
	h.Write(b.Signature[:])
	return merkle.Hash(h.Sum(nil))
}

type wireBundle struct {
	Spends    []CoinSpend `json:"coin_spends"`
	Signature *wireBytes  `json:"aggregated_signature"`
}

// MarshalJSON returns the form of a full node's RPC: coin_spends and aggregated_signature, with hex
// digits after 0x and amounts as numbers.
func (b *Bundle) MarshalJSON() ([]byte, error) {
	spends := b.Spends
	if spends == nil {
		spends = []CoinSpend{}
	}
	signature := wireBytes(b.Signature[:])
	return json.Marshal(wireBundle{spends, &signature})
}

// UnmarshalJSON reads that form. Hex digits may have either case and no 0x. Other members are
// ignored.
func (b *Bundle) UnmarshalJSON(text []byte) error {
	var w wireBundle
	if err := json.Unmarshal(text, &w); err != nil {
		return fmt.Errorf("read a bundle: %w", err)
	}
	switch {
	case w.Spends == nil || w.Signature == nil:
		return errors.New("read a bundle: coin_spends or aggregated_signature is missing")
	case len(*w.Signature) != len(b.Signature):
		return fmt.Errorf("read a bundle: signature of %d bytes, want %d", len(*w.Signature),
			len(b.Signature))
	}
	b.Spends, b.Signature = w.Spends, auth.Signature(*w.Signature)
	return nil
}

// PushRequest returns the body of the RPC method push_tx.
func (b *Bundle) PushRequest() ([]byte, error) {
	return json.Marshal(struct {
		Bundle *Bundle `json:"spend_bundle"`
	}{b})
}

// MarshalJSON returns the form of a full node's RPC: coin, puzzle_reveal and solution.
func (sp CoinSpend) MarshalJSON() ([]byte, error) {
	program, solution := wireBytes(sp.Puzzle), wireBytes(sp.Solution)
	return json.Marshal(wireSpend{newWireCoin(sp.Coin), &program, &solution})
}

// UnmarshalJSON reads that form.
func (sp *CoinSpend) UnmarshalJSON(text []byte) error {
	var w wireSpend
	if err := json.Unmarshal(text, &w); err != nil {
		return err
	}
	var err error
	*sp, err = w.spend()
	return err
}

// MarshalJSON returns the form of a full node's RPC: parent_coin_info, puzzle_hash and amount.
func (c Coin) MarshalJSON() ([]byte, error) { return json.Marshal(newWireCoin(c)) }

// UnmarshalJSON reads that form.
func (c *Coin) UnmarshalJSON(text []byte) error {
	var w wireCoin
	if err := json.Unmarshal(text, &w); err != nil {
		return err
	}
	var err error
	*c, err = w.coin()
	return err
}

func newWireCoin(c Coin) *wireCoin {
	parent, puzzleHash := wireHash(c.Parent), wireHash(c.PuzzleHash)
	return &wireCoin{&parent, &puzzleHash, &c.Amount}
}
