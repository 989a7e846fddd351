package spend

import (
	"fmt"
	"slices"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/internal/puzzle"
	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/merkle"
)

// A MemoForm says which memos the launcher coin of a new store has.
type MemoForm uint8

const (
	// FormDIG has the hint of the owner, by which chain.Resolver.Owned finds the store, and then
	// the hint of all stores.
	FormDIG MemoForm = iota
	// FormDriver has the hint of all stores alone, as @dignetwork/datalayer-driver writes it.
	FormDriver
)

// A Mint is a new store. The payer's coins pay one mojo, which the store keeps, and the fee. The
// rest returns to the first coin's key.
type Mint struct {
	Payer     []Input // at least one; the first makes the store
	Owner     merkle.Hash
	Delegates []chain.Delegate
	Metadata  chain.Metadata
	Fee       uint64 // in mojos
	Form      MemoForm
}

// StoreID returns the id of the store that a mint makes with this first coin.
func StoreID(lead chain.Coin) auth.StoreID { return auth.StoreID(launcher(lead).ID()) }

func launcher(lead chain.Coin) chain.Coin {
	return chain.Coin{Parent: lead.ID(), PuzzleHash: puzzle.Launcher, Amount: 1}
}

// Mint appends the mint of a store and returns its first coin. Errors are [ErrNoCoins],
// [ErrInsufficientFunds], [ErrAmount], [ErrWrongKey], [ErrMetadata], [ErrDelegates] and
// [ErrOddFee].
func (d *Draft) Mint(m Mint) (*Store, error) {
	s, err := d.mint(&m)
	if err != nil {
		return nil, fmt.Errorf("mint a store: %w", err)
	}
	return s, nil
}

func (d *Draft) mint(m *Mint) (*Store, error) {
	rest, err := pay(m.Payer, 1, m.Fee)
	if err != nil {
		return nil, err
	}
	if err := checkMetadata(&m.Metadata); err != nil {
		return nil, err
	}
	if err := checkDelegates(m.Delegates); err != nil {
		return nil, err
	}
	lead := m.Payer[0]
	launch := launcher(lead.Coin)
	s := &Store{
		ID: auth.StoreID(launch.ID()), Metadata: m.Metadata, Owner: m.Owner,
		Delegates: slices.Clone(m.Delegates), Lineage: Lineage{Parent: launch.Parent, Amount: 1},
	}
	s.Metadata.Dropped = nil
	list, err := s.list()
	if err != nil {
		return nil, err
	}
	s.Coin = chain.Coin{Parent: launch.ID(), Amount: 1,
		PuzzleHash: puzzle.StoreHash(s.ID, list.TreeHash(), s.inner())}
	values := []*clvm.Node{list, puzzle.Hash(s.inner())}
	if len(m.Delegates) > 0 {
		values = append(values, memos(m.Owner, m.Delegates)...)
	}
	solution := clvm.List(puzzle.Hash(s.Coin.PuzzleHash), clvm.Int(1), clvm.List(values...))
	hints := []*clvm.Node{puzzle.Hash(chain.LauncherHint())}
	if m.Form == FormDIG {
		hints = slices.Insert(hints, 0, puzzle.Hash(chain.OwnerHint(m.Owner)))
	}

	o := d.begin(m.Fee)
	o.others(m.Payer)
	o.steps = []Step{{After: s, spend: len(o.spends)}}
	o.add(launch, puzzle.Program("launcher"), solution)
	o.makes(launch.ID(), s.Coin.PuzzleHash, 1)
	o.makes(lead.Coin.ID(), puzzle.Launcher, 1)
	said := solution.TreeHash()
	conditions := []*clvm.Node{
		createCoin(puzzle.Launcher, 1, hints...),
		condition(condAssertCoin, puzzle.Hash(announcement(launch.ID(), said[:]))),
	}
	o.standard(lead, append(conditions, o.change(lead, rest, true)...)...)
	return s, o.commit()
}
