package chain

import (
	"context"
	"errors"
	"fmt"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/merkle"
)

// Launch reads the spend of a store's launcher coin and returns the store's first state. Everything is held to
// hashes: that the coin is the store's launcher, that the puzzle is the coin's, and that what the solution says
// makes the puzzle hash that it names. Errors wrap [ErrSourceInvalid], [ErrMalformed], [ErrNotDataStore] or
// [ErrTooLarge]. Spec: chain 5.6.
func Launch(store auth.StoreID, sp *CoinSpend) (*State, error) {
	failed := func(err error) (*State, error) {
		return nil, fmt.Errorf("read the launch of store %v: %w", store, err)
	}
	switch id := sp.Coin.ID(); {
	case id != merkle.Hash(store):
		return failed(fmt.Errorf("%w: the spend is that of coin %v", ErrSourceInvalid, id))
	case sp.Coin.PuzzleHash != modLauncher:
		return failed(fmt.Errorf("%w: the coin's puzzle %v is not the launcher", ErrNotDataStore, sp.Coin.PuzzleHash))
	}
	_, solution, err := parse(sp)
	if err != nil {
		return failed(err)
	}
	// (full-puzzle-hash amount key-value-list …), the last being (metadata inner . memos)
	items, _, ok := solution.Take(3)
	if !ok {
		return failed(fmt.Errorf("%w: the launcher's solution %v has fewer than 3 items", ErrNotDataStore, solution))
	}
	full, isHash := items[0].Bytes32()
	amount, isAmount := items[1].Uint64()
	kv, memos, ok := items[2].Take(2)
	if !isHash || !isAmount || !ok {
		return failed(fmt.Errorf("%w: the launcher's solution %v is not (hash amount (metadata inner …))", ErrNotDataStore, solution))
	}
	if amount%2 == 0 {
		return failed(fmt.Errorf("%w: the first coin's amount %d is even", ErrNotDataStore, amount))
	}
	list := kv[0]
	if _, old := list.Bytes32(); old {
		list = clvm.List(list) // the form before CHIP-0035: a bare root
	}
	metadata, err := readMetadata(list)
	if err != nil {
		return failed(fmt.Errorf("%w: %w", ErrNotDataStore, err))
	}
	inner, ok := kv[1].Bytes32()
	if !ok {
		return failed(fmt.Errorf("%w: the inner puzzle hash %v is not 32 bytes", ErrNotDataStore, kv[1]))
	}
	if want := storePuzzleHash(store, list.TreeHash(), inner); want != full {
		return failed(fmt.Errorf("%w: it launched puzzle %x, a store would be %v (another kind of token, or another updater)", ErrNotDataStore, full, want))
	}
	s := &State{
		Store:    store,
		Coin:     Coin{Parent: merkle.Hash(store), PuzzleHash: full, Amount: amount},
		Metadata: metadata,
		Inner:    inner,
	}
	if memos.IsNil() {
		s.Owner, s.OwnerKnown, s.DelegatesKnown = inner, true, true
	} else {
		s.readOwner(memos, nil)
	}
	return s, nil
}

// Next reads the spend of the state's coin and returns the state that it made. That the new coin exists is for
// the caller to ask: a spend that was made up makes one that does not. A melted store is a [*MeltedError].
// Other errors wrap [ErrSourceInvalid], [ErrMalformed], [ErrInvalidSpend], [ErrUpdaterChanged],
// [ErrUnsupportedOp], [ErrTooLarge] or the context's error. Spec: chain 5.7.
func (s *State) Next(ctx context.Context, sp *CoinSpend) (*State, error) {
	next, err := s.next(ctx, sp)
	if err != nil {
		return nil, fmt.Errorf("read the spend of coin %v of store %v: %w", s.CoinID(), s.Store, err)
	}
	return next, nil
}

func (s *State) next(ctx context.Context, sp *CoinSpend) (*State, error) {
	before, o, err := s.open(sp)
	if err != nil {
		return nil, err
	}
	made, err := o.run(ctx)
	if err != nil {
		return nil, err
	}
	if made.melted {
		return nil, &MeltedError{Last: s}
	}
	return made.state(before, o.by())
}

// open takes the spend of the state's coin apart, and returns the state with what the puzzle shows of the owner.
func (s *State) open(sp *CoinSpend) (*State, *opened, error) {
	if sp.Coin != s.Coin {
		return nil, nil, fmt.Errorf("%w: the spend is that of coin %v", ErrSourceInvalid, sp.Coin.ID())
	}
	o, err := openStore(s.Store, sp)
	if err != nil {
		return nil, nil, err
	}
	before := o.state(s.Store)
	if s.DelegatesKnown {
		before.Delegates, before.DelegatesKnown = s.Delegates, true
	}
	before.Generation = s.Generation
	return before, o, nil
}

// FromSpend reads the spend of any coin of a store, and returns the state that it made: Next for a coin of
// which nothing else is known. Its Generation is -1, or 0 after the launcher. A coin that is no store coin of
// this store is [ErrNotDataStore]. A coin with the puzzle of this store can be spent only if its lineage
// reaches the launcher, so a spend that happened needs no history. Spec: chain 6.2.
func FromSpend(ctx context.Context, store auth.StoreID, sp *CoinSpend) (*State, error) {
	if sp.Coin.PuzzleHash == modLauncher {
		return Launch(store, sp)
	}
	o, err := openStore(store, sp)
	if err != nil {
		return nil, fmt.Errorf("read the spend of coin %v: %w", sp.Coin.ID(), err)
	}
	return o.state(store).Next(ctx, sp)
}

// parse reads both programs of a spend and checks that the puzzle is the coin's.
func parse(sp *CoinSpend) (puzzle, solution *clvm.Node, err error) {
	if puzzle, err = clvm.Parse(sp.Puzzle, nil); err != nil {
		return nil, nil, fmt.Errorf("puzzle: %w", programError(err))
	}
	if found := merkle.Hash(puzzle.TreeHash()); found != sp.Coin.PuzzleHash {
		return nil, nil, fmt.Errorf("%w: the puzzle hashes to %v, the coin's is %v", ErrSourceInvalid, found, sp.Coin.PuzzleHash)
	}
	if solution, err = clvm.Parse(sp.Solution, nil); err != nil {
		return nil, nil, fmt.Errorf("solution: %w", programError(err))
	}
	return puzzle, solution, nil
}

// programError adds what this package calls an error of the interpreter.
func programError(err error) error {
	for _, e := range []struct{ theirs, ours error }{
		{clvm.ErrMalformed, ErrMalformed}, {clvm.ErrTooLarge, ErrTooLarge},
		{clvm.ErrUnsupportedOp, ErrUnsupportedOp}, {clvm.ErrFailed, ErrInvalidSpend},
	} {
		if errors.Is(err, e.theirs) {
			return fmt.Errorf("%w: %w", e.ours, err)
		}
	}
	return err
}

// opened is a store coin's puzzle and solution, taken apart.
type opened struct {
	coin      Coin
	list      *clvm.Node // metadata as it is written
	metadata  Metadata
	inner     *clvm.Node // the program
	innerHash merkle.Hash
	solution  *clvm.Node // of the inner program

	layered bool        // inner is a delegation layer around
	owner   merkle.Hash // this puzzle; else inner is the owner's puzzle
}

// openStore takes the layers of a store coin apart: singleton, state, inner puzzle.
func openStore(store auth.StoreID, sp *CoinSpend) (*opened, error) {
	puzzle, solution, err := parse(sp)
	if err != nil {
		return nil, err
	}
	args, ok := curried(puzzle, modSingleton, 2)
	if !ok || merkle.Hash(args[0].TreeHash()) != singletonStruct(store) {
		return nil, fmt.Errorf("%w: the puzzle is not the singleton of store %v", ErrNotDataStore, store)
	}
	if args, ok = curried(args[1], modState, 4); !ok {
		return nil, fmt.Errorf("%w: no state layer in the singleton", ErrNotDataStore)
	}
	if self, ok := args[0].Bytes32(); !ok || merkle.Hash(self) != modState {
		return nil, fmt.Errorf("%w: the state layer does not name itself", ErrNotDataStore)
	}
	if guard, ok := args[2].Bytes32(); !ok || merkle.Hash(guard) != updater {
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
		return nil, fmt.Errorf("%w: the solution %v is not (proof amount (inner))", ErrInvalidSpend, solution)
	}
	o.solution = items[0]
	o.owner = o.innerHash
	if args, ok := curried(o.inner, modDelegation, 4); ok {
		owner, isOwner := args[2].Bytes32()
		launcher, isID := args[1].Bytes32()
		if isOwner && isID && auth.StoreID(launcher) == store {
			o.layered, o.owner = true, owner
		}
	}
	return o, nil
}

// curried returns the n arguments that were filled into the program of that hash.
func curried(p *clvm.Node, mod merkle.Hash, n int) ([]*clvm.Node, bool) {
	program, args, ok := p.Uncurry()
	if !ok || len(args) != n || merkle.Hash(program.TreeHash()) != mod {
		return nil, false
	}
	return args, true
}

// state returns what the puzzle says about the coin that was spent. Whose leaves are in a delegation layer it
// does not say.
func (o *opened) state(store auth.StoreID) *State {
	return &State{
		Store: store, Coin: o.coin, Generation: -1, Metadata: o.metadata, Inner: o.innerHash,
		Owner: o.owner, OwnerKnown: true, DelegatesKnown: !o.layered,
	}
}

// by returns who spent the coin. Spec: chain 5.7, at its end.
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
	if _, ok := curried(items[1], modWriter, 1); ok {
		return RoleWriter
	}
	if op, _, ok := items[1].Pair(); ok {
		if s, atom := op.Atom(); atom && s == "\x01" {
			return RoleOracle
		}
	}
	return RoleAdmin
}

// made is what a spend does to a store: the coin it makes and the metadata that the coin carries.
type made struct {
	melted   bool
	inner    merkle.Hash // of the new coin
	amount   uint64
	memos    *clvm.Node // nil: none
	list     *clvm.Node // metadata as it is written
	metadata Metadata
}

// run runs the inner puzzle and reads its conditions. The two layers around it are applied by rule: they wrap
// the one odd coin, and take the new metadata. Spec: chain 5.7, steps 4 to 7.
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
		case isOp(items[0], condCreateCoin) && isOdd(items[2]):
			if create != nil {
				return nil, fmt.Errorf("%w: it makes two odd coins", ErrInvalidSpend)
			}
			create = items
			memos, _, _ = rest.Pair()
		case op == condNewMetadata && isOp(items[0], condNewMetadata):
			if update != nil {
				return nil, fmt.Errorf("%w: it updates the metadata twice", ErrInvalidSpend)
			}
			update = items
		}
	}
	if create == nil {
		return nil, fmt.Errorf("%w: it makes no odd coin", ErrInvalidSpend)
	}
	if v, ok := create[2].Int64(); ok && v == amountMelt {
		return &made{melted: true}, nil
	}
	inner, isHash := create[1].Bytes32()
	amount, isAmount := create[2].Uint64()
	if !isHash || !isAmount {
		return nil, fmt.Errorf("%w: it makes a coin at %v of %v", ErrInvalidSpend, create[1], create[2])
	}
	m := &made{inner: inner, amount: amount, memos: memos, list: o.list, metadata: o.metadata}
	if update == nil {
		return m, nil
	}
	if found := merkle.Hash(update[1].TreeHash()); found != updater {
		return nil, fmt.Errorf("%w: it updates the metadata by the program %v", ErrInvalidSpend, found)
	}
	// ((new-metadata new-updater) extra-conditions)
	var pair []*clvm.Node
	result, _, ok := update[2].Take(1)
	if ok {
		pair, _, ok = result[0].Take(2)
	}
	if !ok {
		return nil, fmt.Errorf("%w: what it gives the updater is %v", ErrInvalidSpend, update[2])
	}
	if guard, ok := pair[1].Bytes32(); !ok || merkle.Hash(guard) != updater {
		return nil, fmt.Errorf("%w, to %v: what the store says from here on is guarded by rules that are not known", ErrUpdaterChanged, pair[1])
	}
	m.list = pair[0]
	if m.metadata, err = readMetadata(m.list); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotDataStore, err)
	}
	return m, nil
}

// isOp reports whether an atom is the opcode, written as it has to be.
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
func (m *made) state(before *State, by Role) (*State, error) {
	next := &State{
		Store:      before.Store,
		Coin:       Coin{Parent: before.CoinID(), PuzzleHash: storePuzzleHash(before.Store, m.list.TreeHash(), m.inner), Amount: m.amount},
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
	return next, nil
}
