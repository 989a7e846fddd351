package chain

import (
	"context"
	"fmt"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain/internal/puzzle"
	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/merkle"
)

// made is the effect of a spend: the new store coin and its metadata.
type made struct {
	melted   bool
	inner    merkle.Hash // of the new coin
	amount   uint64
	memos    *clvm.Node // nil if there are none
	list     *clvm.Node // the metadata, encoded
	metadata Metadata
}

// run runs the inner puzzle and reads its conditions. It applies the rules of the two outer
// layers itself: they wrap the one odd coin and set the new metadata. See auth/chain/LINEAGE.md
// 5.4.
func (o *opened) run(ctx context.Context) (*made, error) {
	conditions, err := clvm.Run(ctx, o.inner, o.solution, nil)
	if err != nil {
		return nil, fmt.Errorf("run the inner puzzle: %w", programError(err))
	}
	var create, update []*clvm.Node
	var memos *clvm.Node
	for c := range conditions.Items() {
		items, rest, ok := c.Take(3)
		if !ok {
			continue
		}
		switch op, _ := items[0].Int64(); {
		case isOp(items[0], puzzle.CondCreateCoin) && isOdd(items[2]):
			if create != nil {
				return nil, fmt.Errorf("%w: two odd coins are made", ErrInvalidSpend)
			}
			create = items
			memos, _, _ = rest.Pair()
		case op == puzzle.CondNewMetadata && isOp(items[0], puzzle.CondNewMetadata):
			if update != nil {
				return nil, fmt.Errorf("%w: the metadata is updated twice", ErrInvalidSpend)
			}
			update = items
		}
	}
	if create == nil {
		return nil, fmt.Errorf("%w: no odd coin is made", ErrInvalidSpend)
	}
	if v, ok := create[2].Int64(); ok && v == puzzle.AmountMelt {
		return &made{melted: true}, nil
	}
	inner, isHash := create[1].Bytes32()
	amount, isAmount := create[2].Uint64()
	if !isHash || !isAmount {
		return nil, fmt.Errorf("%w: the new coin has puzzle hash %v and amount %v", ErrInvalidSpend,
			create[1], create[2])
	}
	m := &made{inner: inner, amount: amount, memos: memos, list: o.list, metadata: o.metadata}
	if update == nil {
		return m, nil
	}
	if found := merkle.Hash(update[1].TreeHash()); found != puzzle.Updater {
		return nil, fmt.Errorf("%w: unknown metadata updater %v", ErrInvalidSpend, found)
	}
	// ((new-metadata new-updater) extra-conditions)
	var pair []*clvm.Node
	result, _, ok := update[2].Take(1)
	if ok {
		pair, _, ok = result[0].Take(2)
	}
	if !ok {
		return nil, fmt.Errorf("%w: the updater gets %v", ErrInvalidSpend, update[2])
	}
	if guard, ok := pair[1].Bytes32(); !ok || merkle.Hash(guard) != puzzle.Updater {
		return nil, fmt.Errorf("%w to %v, so later metadata cannot be verified",
			ErrUpdaterChanged, pair[1])
	}
	m.list = pair[0]
	if m.metadata, err = readMetadata(m.list); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotDataStore, err)
	}
	return m, nil
}

// isOp reports whether an atom is the canonical encoding of an opcode.
func isOp(n *clvm.Node, op int64) bool {
	s, ok := n.Atom()
	return ok && s == string(clvm.AppendInt(nil, op))
}

// isOdd reports whether an atom is an odd number.
func isOdd(n *clvm.Node) bool {
	s, ok := n.Atom()
	return ok && s != "" && s[len(s)-1]&1 == 1
}

// state returns the state of the new coin.
func (m *made) state(before *State, by Role) *State {
	next := &State{
		Store: before.Store,
		Coin: Coin{
			Parent:     before.CoinID(),
			PuzzleHash: puzzle.StoreHash(before.Store, m.list.TreeHash(), m.inner),
			Amount:     m.amount,
		},
		Generation: before.Generation,
		Metadata:   m.metadata,
		Inner:      m.inner,
		By:         by,
	}
	if before.Generation >= 0 {
		next.Generation++
	}
	memos := clvm.Nil()
	if m.memos != nil {
		if first, rest, ok := m.memos.Pair(); ok {
			if id, ok := first.Bytes32(); ok && auth.StoreID(id) == before.Store {
				memos = rest
			}
		}
	}
	next.readOwner(memos, before)
	return next
}
