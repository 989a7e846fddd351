package spend

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/internal/puzzle"
	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/merkle"
)

// A Store is a store coin with what its spend has to reveal. [Open] makes it from the chain, and an
// operation of a [Draft] returns the next one. A Store is not changed by any operation.
type Store struct {
	ID       auth.StoreID
	Coin     chain.Coin
	Metadata chain.Metadata
	Owner    merkle.Hash // hash of the owner's puzzle
	// Delegates are in the order in which they are hashed.
	Delegates []chain.Delegate
	// Layered means that the coin has a delegation layer, though Delegates is empty: an admin
	// removed them all.
	Layered bool
	Lineage Lineage
	// encoded is the metadata as its writer encoded it, nil if it is Metadata.Encode().
	encoded []byte
}

// A Lineage proves to the singleton layer that the parent of a coin was a coin of the store, or, to
// an asset, that it was a coin of the asset.
type Lineage struct {
	Parent merkle.Hash // the parent of the parent coin
	// Inner is the hash of the parent's puzzle inside its outer layer, or zero for the first coin
	// of a store.
	Inner  merkle.Hash
	Amount uint64 // of the parent coin
}

// Open returns the store coin of a state, ready to be spent. parent is the spend that made the
// coin: that of the coin with the id state.Coin.Parent. The owner and the delegates must be known,
// otherwise the error is [chain.ErrWritersUnknown]. A spend that did not make the coin is
// [ErrStore]; other errors are those of [chain.FromSpend].
func Open(ctx context.Context, state *chain.State, parent *chain.CoinSpend) (*Store, error) {
	if !state.OwnerKnown || !state.DelegatesKnown {
		return nil, fmt.Errorf("open store %v: %w: the next spend has to reveal them", state.Store,
			chain.ErrWritersUnknown)
	}
	if found := parent.Coin.ID(); found != state.Coin.Parent {
		return nil, fmt.Errorf("open store %v: %w: want the spend of coin %v, found %v", state.Store,
			ErrStore, state.Coin.Parent, found)
	}
	encoded, err := chain.MetadataOf(ctx, state.Store, parent)
	if err != nil {
		return nil, fmt.Errorf("open store %v: %w", state.Store, err)
	}
	s := &Store{
		ID: state.Store, Coin: state.Coin, Metadata: state.Metadata, Owner: state.Owner,
		Delegates: slices.Clone(state.Delegates),
		Layered:   len(state.Delegates) == 0 && state.Inner != state.Owner,
		Lineage:   Lineage{Parent: parent.Coin.Parent, Amount: parent.Coin.Amount},
	}
	if !bytes.Equal(encoded, state.Metadata.Encode()) {
		s.encoded = encoded
	}
	if parent.Coin.PuzzleHash != puzzle.Launcher {
		if s.Lineage.Inner, err = innerHash(parent.Puzzle); err != nil {
			return nil, fmt.Errorf("open store %v: %w", state.Store, err)
		}
	}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("open store %v: %w", state.Store, err)
	}
	return s, nil
}

// innerHash returns the hash of the puzzle in the singleton layer.
func innerHash(reveal []byte) (merkle.Hash, error) {
	program, err := clvm.Parse(reveal, nil)
	if err != nil {
		return merkle.Hash{}, fmt.Errorf("%w: %w", ErrStore, err)
	}
	_, args, ok := program.Uncurry()
	if !ok || len(args) != 2 {
		return merkle.Hash{}, fmt.Errorf("%w: the parent's puzzle is not a singleton", ErrStore)
	}
	return args[1].TreeHash(), nil
}

// State returns the state of the store coin as package chain reads it, of unknown generation.
func (s *Store) State() *chain.State {
	return &chain.State{
		Store: s.ID, Coin: s.Coin, Generation: -1, Metadata: s.Metadata, Inner: s.inner(),
		Owner: s.Owner, OwnerKnown: true, Delegates: slices.Clone(s.Delegates), DelegatesKnown: true,
	}
}

// check checks that the fields make the puzzle hash of the coin.
func (s *Store) check() error {
	list, err := s.list()
	if err != nil {
		return err
	}
	if s.Coin.Amount%2 == 0 {
		return fmt.Errorf("%w: the amount %d is even", ErrStore, s.Coin.Amount)
	}
	if found := puzzle.StoreHash(s.ID, list.TreeHash(), s.inner()); found != s.Coin.PuzzleHash {
		return fmt.Errorf("%w: want puzzle hash %v, found %v", ErrStore, s.Coin.PuzzleHash, found)
	}
	return nil
}

// layered reports whether the coin has a delegation layer.
func (s *Store) layered() bool { return s.Layered || len(s.Delegates) > 0 }

// inner returns the hash of the inner puzzle.
func (s *Store) inner() merkle.Hash {
	if !s.layered() {
		return s.Owner
	}
	return puzzle.DelegationHash(s.ID, s.Owner, chain.DelegatesRoot(s.Delegates))
}

// list returns the metadata as it is in the coin.
func (s *Store) list() (*clvm.Node, error) {
	encoded := s.encoded
	if encoded == nil {
		encoded = s.Metadata.Encode()
	}
	list, err := clvm.Parse(encoded, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: metadata: %w", ErrStore, err)
	}
	return list, nil
}

// next returns the coin after s with that state. list is the metadata of s.
func (s *Store) next(list *clvm.Node, after Store) (*Store, error) {
	after.ID = s.ID
	after.Delegates = slices.Clone(after.Delegates)
	after.Lineage = Lineage{Parent: s.Coin.Parent, Amount: s.Coin.Amount,
		Inner: puzzle.StateHash(list.TreeHash(), s.inner())}
	newList, err := after.list()
	if err != nil {
		return nil, err
	}
	after.Coin = chain.Coin{Parent: s.Coin.ID(), Amount: 1,
		PuzzleHash: puzzle.StoreHash(s.ID, newList.TreeHash(), after.inner())}
	return &after, nil
}

// Limits of what this package writes.
const (
	MaxLabel       = 1 << 10 // bytes of a label, and of a size proof
	MaxDescription = 8 << 10 // bytes of a description
	MaxDelegates   = 64
)

// checkMetadata checks metadata that is to be written. The network does not look at it, and a
// malformed one would make the store unreadable.
func checkMetadata(m *chain.Metadata) error {
	for _, item := range []struct {
		name string
		text *string
		most int
	}{
		{"label", m.Label, MaxLabel}, {"description", m.Description, MaxDescription},
		{"size proof", m.SizeProof, MaxLabel},
	} {
		switch {
		case item.text == nil:
		case len(*item.text) > item.most:
			return fmt.Errorf("%w: %s of %d bytes, want at most %d", ErrMetadata, item.name,
				len(*item.text), item.most)
		case !utf8.ValidString(*item.text):
			return fmt.Errorf("%w: the %s is not UTF-8", ErrMetadata, item.name)
		}
	}
	if m.Program != nil || m.SizeBucket != nil {
		return fmt.Errorf("%w: a program hash or size bucket is read, but not written", ErrMetadata)
	}
	return nil
}

// checkDelegates checks a list of delegates that is to be written.
func checkDelegates(list []chain.Delegate) error {
	if len(list) > MaxDelegates {
		return fmt.Errorf("%w: want at most %d, found %d", ErrDelegates, MaxDelegates, len(list))
	}
	for i, d := range list {
		switch {
		case d.Role == chain.RoleOracle && d.Fee%2 == 1:
			return fmt.Errorf("delegate %d: %w: %d", i, ErrOddFee, d.Fee)
		case d.Role == chain.RoleOracle:
		case d.Role != chain.RoleAdmin && d.Role != chain.RoleWriter:
			return fmt.Errorf("%w: delegate %d has the role %v", ErrDelegates, i, d.Role)
		case d.Fee != 0:
			return fmt.Errorf("%w: delegate %d is %v and has a fee", ErrDelegates, i, d.Role)
		}
	}
	return nil
}

// memos returns the memos that name an owner and the delegates.
func memos(owner merkle.Hash, delegates []chain.Delegate) []*clvm.Node {
	list := []*clvm.Node{puzzle.Hash(owner)}
	for _, d := range delegates {
		kind := map[chain.Role]int64{chain.RoleAdmin: 1, chain.RoleWriter: 2, chain.RoleOracle: 3}
		list = append(list, clvm.Int(kind[d.Role]), puzzle.Hash(d.Puzzle))
		if d.Role == chain.RoleOracle {
			list = append(list, clvm.Uint(d.Fee))
		}
	}
	return list
}
