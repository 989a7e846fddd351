package chain

import (
	"context"
	"errors"
	"fmt"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain/internal/puzzle"
	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/merkle"
)

// Launch reads the spend of a store's launcher coin and returns the store's first state. It
// checks by hashes that the coin is the store's launcher, that the puzzle is the coin's, and
// that the state in the solution makes the puzzle hash in the solution. Errors wrap
// [ErrSourceInvalid], [ErrMalformed], [ErrNotDataStore] or [ErrTooLarge]. See
// auth/chain/LINEAGE.md 5.2.
func Launch(store auth.StoreID, sp *CoinSpend) (*State, error) {
	failed := func(err error) (*State, error) {
		return nil, fmt.Errorf("read the launch of store %v: %w", store, err)
	}
	switch id := sp.Coin.ID(); {
	case id != merkle.Hash(store):
		return failed(fmt.Errorf("%w: the source sent the spend of coin %v", ErrSourceInvalid, id))
	case sp.Coin.PuzzleHash != puzzle.Launcher:
		return failed(fmt.Errorf("%w: the coin's puzzle %v is not the launcher", ErrNotDataStore,
			sp.Coin.PuzzleHash))
	}
	_, solution, err := parse(sp)
	if err != nil {
		return failed(err)
	}
	// (full-puzzle-hash amount key-value-list …), the last being (metadata inner . memos)
	items, _, ok := solution.Take(3)
	if !ok {
		return failed(fmt.Errorf("%w: the launcher's solution %v has fewer than 3 items", ErrNotDataStore,
			solution))
	}
	full, isHash := items[0].Bytes32()
	amount, isAmount := items[1].Uint64()
	kv, memos, ok := items[2].Take(2)
	if !isHash || !isAmount || !ok {
		return failed(fmt.Errorf("%w: the launcher's solution %v is not (hash amount (metadata inner …))",
			ErrNotDataStore, solution))
	}
	if amount%2 == 0 {
		return failed(fmt.Errorf("%w: the first coin's amount %d is even", ErrNotDataStore, amount))
	}
	list, _ := launched(solution)
	metadata, err := readMetadata(list)
	if err != nil {
		return failed(fmt.Errorf("%w: %w", ErrNotDataStore, err))
	}
	inner, ok := kv[1].Bytes32()
	if !ok {
		return failed(fmt.Errorf("%w: the inner puzzle hash %v is not 32 bytes", ErrNotDataStore, kv[1]))
	}
	if want := puzzle.StoreHash(store, list.TreeHash(), inner); want != full {
		return failed(fmt.Errorf("%w: want puzzle hash %v, found %x (another kind of token, or another "+
			"updater)",
			ErrNotDataStore, want, full))
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

// Next reads the spend of the state's coin and returns the state of the new coin. The caller
// must check that the new coin exists, because anyone can invent a spend. A melted store is a
// [*MeltedError]. Other errors wrap [ErrSourceInvalid], [ErrMalformed], [ErrInvalidSpend],
// [ErrUpdaterChanged], [ErrUnsupportedOp], [ErrTooLarge] or the context's error. See
// auth/chain/LINEAGE.md 5.3 to 5.5.
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
	return made.state(before, o.by()), nil
}

// open parses the spend of the state's coin. It returns the state with the owner that the
// puzzle shows.
func (s *State) open(sp *CoinSpend) (*State, *opened, error) {
	if sp.Coin != s.Coin {
		return nil, nil, fmt.Errorf("%w: the source sent the spend of coin %v", ErrSourceInvalid,
			sp.Coin.ID())
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

// FromSpend reads the spend of any coin of a store and returns the state of the new coin, like
// Next, without a known state. Its Generation is -1, or 0 after the launcher. A coin of another
// kind, or of another store, is [ErrNotDataStore]. The network spends a coin with the puzzle of
// this store only if its lineage reaches the launcher, so a spend that happened proves the
// lineage. See auth/chain/LINEAGE.md 7.2.
func FromSpend(ctx context.Context, store auth.StoreID, sp *CoinSpend) (*State, error) {
	if sp.Coin.PuzzleHash == puzzle.Launcher {
		return Launch(store, sp)
	}
	o, err := openStore(store, sp)
	if err != nil {
		return nil, fmt.Errorf("read the spend of coin %v: %w", sp.Coin.ID(), err)
	}
	return o.state(store).Next(ctx, sp)
}

// MetadataOf reads the spend of a store's coin, or of its launcher, as [FromSpend] does. It returns
// the metadata of the new coin as the writer encoded it. The next spend must reveal exactly
// these bytes, including items that [Metadata] drops or does not know. A melted store is
// [ErrMelted].
func MetadataOf(ctx context.Context, store auth.StoreID, sp *CoinSpend) ([]byte, error) {
	list, err := metadataOf(ctx, store, sp)
	if err != nil {
		return nil, fmt.Errorf("read the metadata in the spend of coin %v: %w", sp.Coin.ID(), err)
	}
	return clvm.Append(nil, list, nil)
}

func metadataOf(ctx context.Context, store auth.StoreID, sp *CoinSpend) (*clvm.Node, error) {
	if sp.Coin.PuzzleHash == puzzle.Launcher {
		if _, err := Launch(store, sp); err != nil {
			return nil, err
		}
		_, solution, err := parse(sp)
		if err != nil {
			return nil, err
		}
		list, ok := launched(solution)
		if !ok {
			return nil, ErrNotDataStore
		}
		return list, nil
	}
	o, err := openStore(store, sp)
	if err != nil {
		return nil, err
	}
	made, err := o.run(ctx)
	switch {
	case err != nil:
		return nil, err
	case made.melted:
		return nil, &MeltedError{Last: o.state(store)}
	}
	return made.list, nil
}

// launched returns the metadata in the solution of a launcher: (hash amount (metadata …)). The
// form before CHIP-0035 has a bare root.
func launched(solution *clvm.Node) (list *clvm.Node, ok bool) {
	items, _, ok := solution.Take(3)
	if !ok {
		return nil, false
	}
	list, _, ok = items[2].Pair()
	if !ok {
		return nil, false
	}
	if _, old := list.Bytes32(); old {
		list = clvm.List(list)
	}
	return list, true
}

// parse parses both programs of a spend and checks that the puzzle is the coin's.
func parse(sp *CoinSpend) (program, solution *clvm.Node, err error) {
	if program, err = clvm.Parse(sp.Puzzle, nil); err != nil {
		return nil, nil, fmt.Errorf("puzzle: %w", programError(err))
	}
	if found := merkle.Hash(program.TreeHash()); found != sp.Coin.PuzzleHash {
		return nil, nil, fmt.Errorf("%w: want puzzle hash %v, found %v",
			ErrSourceInvalid, sp.Coin.PuzzleHash, found)
	}
	if solution, err = clvm.Parse(sp.Solution, nil); err != nil {
		return nil, nil, fmt.Errorf("solution: %w", programError(err))
	}
	return program, solution, nil
}

// programError wraps an error of the interpreter with the matching error of this package.
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
