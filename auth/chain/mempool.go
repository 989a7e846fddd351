package chain

import (
	"context"
	"fmt"
	"time"

	"github.com/dig-network/digstore/merkle"
)

// A MempoolItem is a bundle that a node has accepted and that is in no block yet. It cannot be
// verified.
type MempoolItem struct {
	ID    merkle.Hash // of the bundle
	Spent []Coin
	Made  []Coin
	Fee   uint64 // in mojos
	Cost  uint64
}

// MempoolItem returns the bundle with that id from the host's mempool, by
// get_mempool_item_by_tx_id. It returns nil, nil if the mempool does not have it: it was never
// sent to this host, was confirmed, or was replaced.
func (r *RPC) MempoolItem(ctx context.Context, id merkle.Hash) (*MempoolItem, error) {
	var a struct {
		Item *struct {
			ID    *wireHash   `json:"spend_bundle_name"`
			Spent []*wireCoin `json:"removals"`
			Made  []*wireCoin `json:"additions"`
			Fee   *uint64     `json:"fee"`
			Cost  uint64      `json:"cost"`
		} `json:"mempool_item"`
	}
	c := call{method: "get_mempool_item_by_tx_id", about: id.String(), limit: maxSpendAnswer}
	err := r.call(ctx, c, struct {
		ID wireHash `json:"tx_id"`
	}{wireHash(id)}, &a)
	switch {
	case refusedWith(err, "TX_NOT_IN_MEMPOOL") || refusedLike(err, "not in the mempool"):
		return nil, nil
	case err != nil:
		return nil, err
	case a.Item == nil || a.Item.ID == nil || a.Item.Fee == nil:
		return nil, r.malformed(c, "no mempool_item with spend_bundle_name and fee")
	case merkle.Hash(*a.Item.ID) != id:
		return nil, r.failed(c, fmt.Errorf("%w: the item is bundle %v", ErrSourceInvalid,
			merkle.Hash(*a.Item.ID)))
	}
	item := &MempoolItem{ID: id, Fee: *a.Item.Fee, Cost: a.Item.Cost}
	if item.Spent, err = coinsOf(a.Item.Spent); err != nil {
		return nil, r.malformed(c, "removals: "+err.Error())
	}
	if item.Made, err = coinsOf(a.Item.Made); err != nil {
		return nil, r.malformed(c, "additions: "+err.Error())
	}
	return item, nil
}

func coinsOf(list []*wireCoin) ([]Coin, error) {
	var coins []Coin
	for _, w := range list {
		coin, err := w.coin()
		if err != nil {
			return nil, err
		}
		coins = append(coins, coin)
	}
	return coins, nil
}

// FeeEstimate requests the fees, in mojos, with which a bundle of that cost is in a block after
// each of the times, by get_fee_estimate. It returns one estimate for each time, 0 if no fee is
// needed. An estimate can be any number, so the caller must limit the fee.
func (r *RPC) FeeEstimate(ctx context.Context, cost uint64, after ...time.Duration) ([]uint64,
	error) {
	var a struct {
		Estimates []uint64 `json:"estimates"`
	}
	seconds := make([]int64, len(after))
	for i, d := range after {
		seconds[i] = int64(d / time.Second)
	}
	c := call{method: "get_fee_estimate", about: fmt.Sprint(cost), limit: maxRecordAnswer}
	if err := r.call(ctx, c, struct {
		Times []int64 `json:"target_times"`
		Cost  uint64  `json:"cost"`
	}{seconds, cost}, &a); err != nil {
		return nil, err
	}
	if len(a.Estimates) != len(after) {
		return nil, r.malformed(c, fmt.Sprintf("%d estimates for %d times", len(a.Estimates),
			len(after)))
	}
	return a.Estimates, nil
}
