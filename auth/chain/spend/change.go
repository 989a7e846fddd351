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

// A Change replaces the metadata of a store, its delegates, or its owner, or several of these in
// one spend. It pays no fee: see [Draft.Fee].
type Change struct {
	By  chain.Role     // RoleOwner, RoleAdmin or RoleWriter
	Key auth.PublicKey // the synthetic key that acts in that role
	// Parent is the root that the change builds on. If it is not nil and the store has another
	// root, the error is ErrConflict.
	Parent *merkle.Hash
	// Metadata replaces all of the metadata if it is not nil.
	Metadata *chain.Metadata
	// Ownership replaces the owner and all delegates if it is not nil. A writer cannot do that,
	// and an admin cannot change the owner.
	Ownership *Ownership
	// RemoveAll permits an admin to remove every delegate. Only the owner can spend the store
	// after that.
	RemoveAll bool
}

// An Ownership is an owner and the delegates, in the order in which they are hashed.
type Ownership struct {
	Owner     merkle.Hash
	Delegates []chain.Delegate
}

// Change appends a change of a store and returns the store's next coin. Errors are [ErrWrongKey],
// [ErrNotDelegate], [ErrNotPermitted], [ErrEmptyDelegates], [ErrConflict], [ErrStore],
// [ErrMetadata], [ErrDelegates] and [ErrOddFee].
func (d *Draft) Change(s *Store, c Change) (*Store, error) {
	next, err := d.change(s, &c)
	if err != nil {
		return nil, fmt.Errorf("change store %v by its %v: %w", s.ID, c.By, err)
	}
	return next, nil
}

// A Transfer gives a store to another owner. Without Delegates nobody but the new owner can write.
type Transfer struct {
	Key       auth.PublicKey // the synthetic key of the present owner
	Owner     merkle.Hash    // puzzle hash of the new owner
	Delegates []chain.Delegate
}

// Transfer appends the transfer of a store and returns the store's next coin. A puzzle hash that
// no key has loses the store: see [Network.PuzzleHash]. The errors are those of Change.
func (d *Draft) Transfer(s *Store, t Transfer) (*Store, error) {
	return d.Change(s, Change{By: chain.RoleOwner, Key: t.Key,
		Ownership: &Ownership{t.Owner, t.Delegates}})
}

// Melt appends the destruction of a store by its owner. Its mojo becomes part of the fee. This
// cannot be undone, so confirm must be the store's id, otherwise the error is [ErrUnconfirmed].
// Other errors are [ErrWrongKey], [ErrNotPermitted] for a delegate's key, and [ErrStore].
func (d *Draft) Melt(s *Store, key auth.PublicKey, confirm auth.StoreID) error {
	if err := d.melt(s, key, confirm); err != nil {
		return fmt.Errorf("melt store %v: %w", s.ID, err)
	}
	return nil
}

func (d *Draft) melt(s *Store, key auth.PublicKey, confirm auth.StoreID) error {
	if confirm != s.ID {
		return fmt.Errorf("%w: %v", ErrUnconfirmed, confirm)
	}
	hash := chain.StandardPuzzleHash(key)
	delegate := func(d chain.Delegate) bool { return d.Role.MayWrite() && d.Puzzle == hash }
	if hash != s.Owner && slices.ContainsFunc(s.Delegates, delegate) {
		return fmt.Errorf("%w: key %08x is a delegate's", ErrNotPermitted, key.Fingerprint())
	}
	if err := s.authorize(chain.RoleOwner, key); err != nil {
		return err
	}
	if err := s.check(); err != nil {
		return err
	}
	o := d.begin(s.Coin.Amount)
	o.steps = []Step{{Before: s}}
	if err := o.store(s, chain.RoleOwner, key, reserveFee(1), melt()); err != nil {
		return err
	}
	return o.commit()
}

func (d *Draft) change(s *Store, c *Change) (*Store, error) {
	if c.Parent != nil && *c.Parent != s.Metadata.Root {
		return nil, fmt.Errorf("%w: want %v, found %v", ErrConflict, *c.Parent, s.Metadata.Root)
	}
	if err := s.authorize(c.By, c.Key); err != nil {
		return nil, err
	}
	after, err := s.changed(c)
	if err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	list, err := s.list()
	if err != nil {
		return nil, err
	}
	next, err := s.next(list, after)
	if err != nil {
		return nil, err
	}
	conditions, err := c.conditions(s, next)
	if err != nil {
		return nil, err
	}
	o := d.begin(s.Coin.Amount - 1) // the next coin has one mojo
	o.steps = []Step{{Before: s, After: next}}
	o.made = []chain.Coin{next.Coin}
	if err := o.store(s, c.By, c.Key, conditions...); err != nil {
		return nil, err
	}
	return next, o.commit()
}

// authorize checks that the key has the role.
func (s *Store) authorize(by chain.Role, key auth.PublicKey) error {
	hash := chain.StandardPuzzleHash(key)
	switch by {
	case chain.RoleOwner:
		if hash != s.Owner {
			return fmt.Errorf("%w: key %08x has puzzle hash %v, the owner %v", ErrWrongKey,
				key.Fingerprint(), hash, s.Owner)
		}
		return nil
	case chain.RoleAdmin, chain.RoleWriter:
		if !slices.Contains(s.Delegates, chain.Delegate{Role: by, Puzzle: hash}) {
			return fmt.Errorf("%w: key %08x has puzzle hash %v", ErrNotDelegate, key.Fingerprint(), hash)
		}
		return nil
	}
	return fmt.Errorf("%w: want owner, admin or writer", ErrNotPermitted)
}

// changed returns the fields of the store after a change that its role permits.
func (s *Store) changed(c *Change) (Store, error) {
	after := Store{Metadata: s.Metadata, encoded: s.encoded, Owner: s.Owner, Delegates: s.Delegates,
		Layered: s.Layered}
	if c.Metadata == nil && c.Ownership == nil {
		return after, fmt.Errorf("%w: nothing to change", ErrNotPermitted)
	}
	if c.Metadata != nil {
		if err := checkMetadata(c.Metadata); err != nil {
			return after, err
		}
		after.Metadata, after.encoded = *c.Metadata, nil
		after.Metadata.Dropped = nil
	}
	if c.Ownership == nil {
		return after, nil
	}
	if err := checkDelegates(c.Ownership.Delegates); err != nil {
		return after, err
	}
	after.Owner, after.Delegates = c.Ownership.Owner, c.Ownership.Delegates
	after.Layered = c.By == chain.RoleAdmin && len(after.Delegates) == 0
	switch {
	case c.By == chain.RoleWriter:
		return after, fmt.Errorf("%w: a writer changes the root only", ErrNotPermitted)
	case c.By == chain.RoleAdmin && after.Owner != s.Owner:
		return after, fmt.Errorf("%w: an admin cannot change the owner", ErrNotPermitted)
	case after.Layered && !c.RemoveAll:
		return after, ErrEmptyDelegates
	}
	return after, nil
}

// conditions returns the conditions that the acting key signs.
func (c *Change) conditions(s, next *Store) ([]*clvm.Node, error) {
	var list []*clvm.Node
	if c.Metadata != nil {
		metadata, err := next.list()
		if err != nil {
			return nil, err
		}
		list = append(list, newMetadata(metadata))
	}
	names := []*clvm.Node{puzzle.Hash(merkle.Hash(s.ID))}
	if c.Ownership != nil {
		names = append(names, memos(next.Owner, next.Delegates)...)
	}
	switch {
	case c.By == chain.RoleOwner:
		list = append(list, createCoin(next.inner(), 1, names...))
	case c.Ownership != nil:
		list = append(list, newDelegates(chain.DelegatesRoot(next.Delegates), names))
	}
	return list, nil
}

// store appends the spend of a store coin in a role, with the conditions of the acting key.
func (o *operation) store(s *Store, by chain.Role, key auth.PublicKey,
	conditions ...*clvm.Node) error {
	standard, solution := puzzle.NewStandard(key), standardSolution(conditions)
	if by == chain.RoleWriter {
		standard, solution = puzzle.NewWriter(standard), clvm.List(solution)
	}
	o.sign(s.Coin, key, conditions)
	return o.reveal(s, standard, solution)
}

// reveal appends the spend of a store coin by one of the puzzles that may spend it.
func (o *operation) reveal(s *Store, program, solution *clvm.Node) error {
	list, err := s.list()
	if err != nil {
		return err
	}
	inner := program
	if s.layered() {
		leaves := make([]merkle.Hash, len(s.Delegates))
		for i, d := range s.Delegates {
			leaves[i] = d.Leaf()
		}
		inner = puzzle.NewDelegation(s.ID, s.Owner, puzzle.Root(leaves))
		solution = clvm.List(puzzle.Prove(leaves, program.TreeHash()), program, solution)
	}
	o.add(s.Coin, puzzle.NewStore(s.ID, list, inner),
		clvm.List(s.Lineage.node(), clvm.Uint(s.Coin.Amount), clvm.List(solution)))
	return nil
}

// node returns the proof of the lineage.
func (l Lineage) node() *clvm.Node {
	if l.Inner.IsZero() {
		return clvm.List(puzzle.Hash(l.Parent), clvm.Uint(l.Amount))
	}
	return clvm.List(puzzle.Hash(l.Parent), puzzle.Hash(l.Inner), clvm.Uint(l.Amount))
}
