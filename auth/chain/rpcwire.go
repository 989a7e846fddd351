package chain

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/dig-network/digstore/merkle"
)

// The JSON of the RPC. Required members are pointers, so that a missing one is not read as
// zero. Other members are not decoded, because some exceed 64 bits. See auth/chain/LINEAGE.md
// 6.1.

// A wireHash is 32 bytes in hex, written with the prefix 0x and read with or without it, in
// either case.
type wireHash merkle.Hash

// MarshalText returns 0x and 64 digits.
func (h wireHash) MarshalText() ([]byte, error) { return hex.AppendEncode([]byte("0x"), h[:]), nil }

// UnmarshalText reads 64 digits, after 0x or without it.
func (h *wireHash) UnmarshalText(text []byte) error {
	text = trimHex(text)
	if len(text) != 2*len(h) {
		return fmt.Errorf("want %d hex digits, found %d", 2*len(h), len(text))
	}
	_, err := hex.Decode(h[:], text)
	return err
}

// wireBytes are bytes in hex, like wireHash.
type wireBytes []byte

// UnmarshalText reads digits, after 0x or without it.
func (b *wireBytes) UnmarshalText(text []byte) error {
	text = trimHex(text)
	out := make([]byte, hex.DecodedLen(len(text)))
	_, err := hex.Decode(out, text)
	*b = out
	return err
}

func trimHex(text []byte) []byte {
	if len(text) >= 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X') {
		return text[2:]
	}
	return text
}

// listRequest is the body of a request for coins. Unused members are omitted, because a full
// node refuses null.
type listRequest struct {
	Parents    []wireHash `json:"parent_ids,omitempty"`
	Hint       *wireHash  `json:"hint,omitempty"`
	PuzzleHash *wireHash  `json:"puzzle_hash,omitempty"`
	Spent      bool       `json:"include_spent_coins"`
	Cursor     string     `json:"cursor,omitempty"`
}

type wireCoin struct {
	Parent     *wireHash `json:"parent_coin_info"`
	PuzzleHash *wireHash `json:"puzzle_hash"`
	Amount     *uint64   `json:"amount"`
}

func (w *wireCoin) coin() (Coin, error) {
	if w == nil || w.Parent == nil || w.PuzzleHash == nil || w.Amount == nil {
		return Coin{}, errors.New("coin without parent_coin_info, puzzle_hash or amount")
	}
	return Coin{Parent: merkle.Hash(*w.Parent), PuzzleHash: merkle.Hash(*w.PuzzleHash),
		Amount: *w.Amount}, nil
}

type wireRecord struct {
	Coin      *wireCoin `json:"coin"`
	Confirmed *uint32   `json:"confirmed_block_index"`
	SpentAt   *uint32   `json:"spent_block_index"`
	Spent     *bool     `json:"spent"`
	Time      uint64    `json:"timestamp"`
}

func (w *wireRecord) record() (CoinRecord, error) {
	coin, err := w.Coin.coin()
	switch {
	case err != nil:
		return CoinRecord{}, err
	case w.Confirmed == nil || w.SpentAt == nil:
		return CoinRecord{}, errors.New("coin record without confirmed_block_index or spent_block_index")
	case w.Spent != nil && *w.Spent != (*w.SpentAt > 0):
		return CoinRecord{}, fmt.Errorf("spent is %v but spent_block_index is %d", *w.Spent, *w.SpentAt)
	}
	return CoinRecord{Coin: coin, Confirmed: *w.Confirmed, Spent: *w.SpentAt, Time: w.Time}, nil
}

type wireSpend struct {
	Coin     *wireCoin  `json:"coin"`
	Puzzle   *wireBytes `json:"puzzle_reveal"`
	Solution *wireBytes `json:"solution"`
}

func (w *wireSpend) spend() (CoinSpend, error) {
	coin, err := w.Coin.coin()
	switch {
	case err != nil:
		return CoinSpend{}, err
	case w.Puzzle == nil || w.Solution == nil:
		return CoinSpend{}, errors.New("spend without puzzle_reveal or solution")
	}
	return CoinSpend{Coin: coin, Puzzle: *w.Puzzle, Solution: *w.Solution}, nil
}

type wireBlock struct {
	Height *uint32   `json:"height"`
	Hash   *wireHash `json:"header_hash"`
	Time   *uint64   `json:"timestamp"` // null for a block without transactions
	Prev   uint32    `json:"prev_transaction_block_height"`
}

func (w *wireBlock) block() (Block, error) {
	if w.Height == nil || w.Hash == nil {
		return Block{}, errors.New("block record without height or header_hash")
	}
	b := Block{Height: *w.Height, Hash: merkle.Hash(*w.Hash), PrevTransaction: w.Prev}
	if w.Time != nil {
		b.Time = *w.Time
	}
	return b, nil
}

// MarshalText returns 0x and the digits.
func (b wireBytes) MarshalText() ([]byte, error) { return hex.AppendEncode([]byte("0x"), b), nil }
