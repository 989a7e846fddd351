package chain

import (
	"context"
	"errors"
	"fmt"
	"math/bits"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain/internal/puzzle"
	"github.com/dig-network/digstore/merkle"
)

// A Balance is the sum of the coins at a puzzle hash.
type Balance struct {
	Amount uint64 // in mojos, or in base units of the asset: 1000 are 1 DIG
	Coins  int
	// Verified means that every coin is of the asset. It is false for assets other than XCH:
	// anyone can send mojos to the puzzle hash of an asset, and these are not coins of the
	// asset.
	Verified bool
}

// Balance returns the sum of the unspent coins of the puzzle hash owner, as the source reports
// them. The zero asset is XCH; another is, for example, [DIG]. If the source cannot find coins
// by puzzle hash, the error is [errors.ErrUnsupported].
func (r *Resolver) Balance(ctx context.Context, owner, asset merkle.Hash) (Balance, error) {
	b := Balance{Verified: asset.IsZero()}
	at := owner
	if !asset.IsZero() {
		at = CATPuzzleHash(asset, owner)
	}
	failed := func(err error) (Balance, error) {
		return Balance{}, fmt.Errorf("balance of puzzle %v: %w", owner, err)
	}
	src, ok := r.source.(PuzzleSource)
	if !ok {
		return failed(fmt.Errorf("%w by %s", errors.ErrUnsupported, nameOf(r.source)))
	}
	if err := r.checkNetwork(ctx); err != nil {
		return failed(err)
	}
	list, err := src.ByPuzzleHash(ctx, at, false)
	if err != nil {
		return failed(err)
	}
	wrong := func(format string, args ...any) (Balance, error) {
		err := fmt.Errorf("%w: %s", ErrSourceInvalid, fmt.Sprintf(format, args...))
		return failed(&SourceError{Source: nameOf(r.source), Asked: "the coins at " + at.String(),
			Err: err})
	}
	seen := make(map[merkle.Hash]bool, len(list))
	for _, rec := range list {
		id := rec.Coin.ID()
		switch {
		case rec.Coin.PuzzleHash != at:
			return wrong("coin %v has puzzle hash %v", id, rec.Coin.PuzzleHash)
		case rec.Spent != 0:
			return wrong("coin %v was spent in block %d", id, rec.Spent)
		case seen[id]:
			return wrong("duplicate coin %v", id)
		}
		seen[id] = true
		var over uint64
		if b.Amount, over = bits.Add64(b.Amount, rec.Coin.Amount, 0); over != 0 {
			return wrong("the sum overflows")
		}
		b.Coins++
	}
	return b, nil
}

// maxOwned is how many stores are read for one owner at most.
const maxOwned = 1000

// Owned returns the stores that were minted with an owner's hint and still belong to the owner.
// It does not find stores that the owner received later. Anyone can set a hint, so each store
// is read, and coins that are not stores are ignored. Without a [HintSource] the error is
// [errors.ErrUnsupported]. See auth/chain/LINEAGE.md 7.8.
func (r *Resolver) Owned(ctx context.Context, owner merkle.Hash) ([]*Tip, error) {
	failed := func(err error) ([]*Tip, error) {
		return nil, fmt.Errorf("stores of owner %v: %w", owner, err)
	}
	src, ok := r.source.(HintSource)
	if !ok {
		return failed(fmt.Errorf("%w by %s", errors.ErrUnsupported, nameOf(r.source)))
	}
	if err := r.checkNetwork(ctx); err != nil {
		return failed(err)
	}
	list, err := src.ByHint(ctx, OwnerHint(owner), true)
	if err != nil {
		return failed(err)
	}
	var found []*Tip
	looked := make(map[auth.StoreID]bool)
	for _, rec := range list {
		id := auth.StoreID(rec.Coin.ID())
		if rec.Coin.PuzzleHash != puzzle.Launcher || looked[id] {
			continue
		}
		if len(looked) == maxOwned {
			return failed(fmt.Errorf("%w: more than %d launchers have its hint", ErrTooLarge, maxOwned))
		}
		looked[id] = true
		t, err := r.Tip(ctx, id)
		switch {
		case errors.Is(err, ErrNotDataStore) || errors.Is(err, ErrNotMinted) ||
			errors.Is(err, ErrUpdaterChanged) || errors.Is(err, ErrShallow):
		case err != nil:
			return failed(err)
		case t.Status != StatusMelted && t.OwnerKnown && t.Owner == owner:
			found = append(found, t)
		}
	}
	return found, nil
}
