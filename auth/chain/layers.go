package chain

import (
	"fmt"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain/internal/puzzle"
	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/merkle"
)

// opened is the parsed puzzle and solution of a store coin.
type opened struct {
	coin      Coin
	list      *clvm.Node // the metadata, encoded
	metadata  Metadata
	inner     *clvm.Node // the program
	innerHash merkle.Hash
	solution  *clvm.Node // of the inner program

	layered bool        // inner is a delegation layer
	owner   merkle.Hash // the owner's puzzle hash: in the delegation layer, or that of inner
}

// openStore parses the layers of a store coin: singleton, state, inner puzzle.
func openStore(store auth.StoreID, sp *CoinSpend) (*opened, error) {
	program, solution, err := parse(sp)
	if err != nil {
		return nil, err
	}
	args, ok := curried(program, puzzle.Singleton, 2)
	if !ok || merkle.Hash(args[0].TreeHash()) != puzzle.SingletonStruct(store) {
		return nil, fmt.Errorf("%w: the puzzle is not the singleton of store %v", ErrNotDataStore, store)
	}
	if args, ok = curried(args[1], puzzle.State, 4); !ok {
		return nil, fmt.Errorf("%w: no state layer in the singleton", ErrNotDataStore)
	}
	if self, ok := args[0].Bytes32(); !ok || merkle.Hash(self) != puzzle.State {
		return nil, fmt.Errorf("%w: the state layer does not name itself", ErrNotDataStore)
	}
	if guard, ok := args[2].Bytes32(); !ok || merkle.Hash(guard) != puzzle.Updater {
		return nil, fmt.Errorf("%w: the metadata updater is %v", ErrNotDataStore, args[2])
	}
	o := &opened{coin: sp.Coin, list: args[1], inner: args[3], innerHash: args[3].TreeHash()}
	if o.metadata, err = readMetadata(o.list); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotDataStore, err)
	}
	// (lineage-proof amount (inner-solution …))
	items, _, ok := solution.Take(3)
	if ok {
		items, _, ok = items[2].Take(1)
	}
	if !ok {
		return nil, fmt.Errorf("%w: the solution %v is not (proof amount (inner))", ErrInvalidSpend,
			solution)
	}
	o.solution = items[0]
	o.owner = o.innerHash
	if args, ok := curried(o.inner, puzzle.Delegation, 4); ok {
		owner, isOwner := args[2].Bytes32()
		launcher, isID := args[1].Bytes32()
		if isOwner && isID && auth.StoreID(launcher) == store {
			o.layered, o.owner = true, owner
		}
	}
	return o, nil
}

// curried returns the n arguments that are curried into the program with that hash.
func curried(p *clvm.Node, mod merkle.Hash, n int) ([]*clvm.Node, bool) {
	program, args, ok := p.Uncurry()
	if !ok || len(args) != n || merkle.Hash(program.TreeHash()) != mod {
		return nil, false
	}
	return args, true
}

// state returns the state of the spent coin, as far as the puzzle shows it. It does not show
// the delegates of a delegation layer.
func (o *opened) state(store auth.StoreID) *State {
	return &State{
		Store: store, Coin: o.coin, Generation: -1, Metadata: o.metadata, Inner: o.innerHash,
		Owner: o.owner, OwnerKnown: true, DelegatesKnown: !o.layered,
	}
}

// by returns the role that spent the coin. See auth/chain/LINEAGE.md 5.6.
func (o *opened) by() Role {
	if !o.layered {
		return RoleOwner
	}
	items, _, ok := o.solution.Take(2) // (merkle-proof puzzle …)
	if !ok {
		return RoleNone
	}
	if items[0].IsNil() || merkle.Hash(items[1].TreeHash()) == o.owner {
		return RoleOwner
	}
	if _, ok := curried(items[1], puzzle.Writer, 1); ok {
		return RoleWriter
	}
	if op, _, ok := items[1].Pair(); ok {
		if s, atom := op.Atom(); atom && s == "\x01" {
			return RoleOracle
		}
	}
	return RoleAdmin
}
