package chain

import (
	"context"
	"fmt"

	"github.com/dig-network/digstore/merkle"
)

// Children implements [ChildSource] by get_coin_records_by_parent_ids.
func (r *RPC) Children(ctx context.Context, parents []merkle.Hash) ([]CoinRecord, error) {
	ids := make([]wireHash, len(parents))
	for i, p := range parents {
		ids[i] = wireHash(p)
	}
	c := call{method: "get_coin_records_by_parent_ids", about: fmt.Sprintf("%d coins", len(ids)),
		limit: maxListAnswer}
	return r.list(ctx, c, listRequest{Parents: ids, Spent: true})
}

// ByHint implements [HintSource] by get_coin_records_by_hint.
func (r *RPC) ByHint(ctx context.Context, hint merkle.Hash, includeSpent bool) ([]CoinRecord,
	error) {
	h := wireHash(hint)
	c := call{method: "get_coin_records_by_hint", about: hint.String(), limit: maxListAnswer}
	return r.list(ctx, c, listRequest{Hint: &h, Spent: includeSpent})
}

// ByPuzzleHash implements [PuzzleSource] by get_coin_records_by_puzzle_hash.
func (r *RPC) ByPuzzleHash(ctx context.Context, puzzleHash merkle.Hash,
	includeSpent bool) ([]CoinRecord, error) {
	h := wireHash(puzzleHash)
	c := call{method: "get_coin_records_by_puzzle_hash", about: puzzleHash.String(),
		limit: maxListAnswer}
	return r.list(ctx, c, listRequest{PuzzleHash: &h, Spent: includeSpent})
}

// list requests all pages of a list of coins. It returns the whole list or an error.
func (r *RPC) list(ctx context.Context, c call, req listRequest) ([]CoinRecord, error) {
	var all []CoinRecord
	for range maxPages {
		var a struct {
			Records   *[]wireRecord `json:"coin_records"`
			Truncated bool          `json:"truncated"`
			Next      string        `json:"next_cursor"`
		}
		if err := r.call(ctx, c, req, &a); err != nil {
			return nil, err
		}
		if a.Records == nil {
			return nil, r.malformed(c, "no coin_records")
		}
		if len(all)+len(*a.Records) > maxRecords {
			return nil, r.failed(c, fmt.Errorf("%w: more than %d coins", ErrTooLarge, maxRecords))
		}
		for i := range *a.Records {
			rec, err := (*a.Records)[i].record()
			if err != nil {
				return nil, r.malformed(c, fmt.Sprintf("coin %d of the list: %v", i, err))
			}
			all = append(all, rec)
		}
		switch {
		case !a.Truncated:
			return all, nil
		case a.Next == "" || a.Next == req.Cursor:
			return nil, r.malformed(c, "truncated list without a new cursor")
		}
		req.Cursor = a.Next
	}
	return nil, r.failed(c, fmt.Errorf("%w: the list has more than %d pages", ErrTooLarge, maxPages))
}
