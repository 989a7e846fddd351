package chain

import (
	"context"
	"errors"
	"fmt"
	"math/bits"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// A Balance is what lies at one puzzle hash.
type Balance struct {
	Amount uint64 // in mojos, or in base units of the asset: 1000 are 1 DIG
	Coins  int
	// Verified says that every coin is what it counts as. Coins of an asset are not: anybody can pay mojos to the place
	// where they lie, and those are no asset.
	Verified bool
}

// Balance adds up the unspent coins of the puzzle owner, as the source tells: of XCH for the zero asset, else of that
// asset, such as [DIG]. A source that cannot find coins by puzzle hash is [errors.ErrUnsupported].
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
		return failed(&SourceError{Source: nameOf(r.source), Asked: "the coins at " + at.String(), Err: fmt.Errorf("%w: %s", ErrSourceInvalid, fmt.Sprintf(format, args...))})
	}
	seen := make(map[merkle.Hash]bool, len(list))
	for _, rec := range list {
		id := rec.Coin.ID()
		switch {
		case rec.Coin.PuzzleHash != at:
			return wrong("coin %v lies at %v", id, rec.Coin.PuzzleHash)
		case rec.Spent != 0:
			return wrong("coin %v was spent in block %d", id, rec.Spent)
		case seen[id]:
			return wrong("coin %v is there twice", id)
		}
		seen[id] = true
		var over uint64
		if b.Amount, over = bits.Add64(b.Amount, rec.Coin.Amount, 0); over != 0 {
			return wrong("its coins hold more than there is")
		}
		b.Coins++
	}
	return b, nil
}

// maxOwned bounds how many stores are looked at for one owner.
const maxOwned = 1000

// Owned returns the stores that were minted for an owner, by its hint, and are the owner's still. Stores that came to the
// owner later are not found: no hint names them. Hints are free for everybody, so each store is read; what is no
// store is passed over. Without a [HintSource] it is [errors.ErrUnsupported]. See auth/chain/LINEAGE.md 7.8.
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
		if rec.Coin.PuzzleHash != modLauncher || looked[id] {
			continue
		}
		if len(looked) == maxOwned {
			return failed(fmt.Errorf("%w: more than %d launchers have its hint", ErrTooLarge, maxOwned))
		}
		looked[id] = true
		t, err := r.Tip(ctx, id)
		switch {
		case errors.Is(err, ErrNotDataStore) || errors.Is(err, ErrNotMinted) || errors.Is(err, ErrUpdaterChanged) || errors.Is(err, ErrShallow):
		case err != nil:
			return failed(err)
		case t.Status != StatusMelted && t.OwnerKnown && t.Owner == owner:
			found = append(found, t)
		}
	}
	return found, nil
}
