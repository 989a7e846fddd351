package chain

import (
	"context"
	"fmt"

	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/merkle"
)

// Bounds of a search: pairs that are looked at, and candidates of each kind that are tried.
const (
	maxSearchPairs      = 1 << 18
	maxSearchCandidates = 64
)

// Search is [State.Next] for a spend whose puzzle cannot be run ([ErrUnsupportedOp]): child is the coin with an
// odd amount that, by its source, the spend made. The metadata and the inner puzzle that make the child's puzzle
// hash are looked for in the text of puzzle and solution. What is found is as certain as what running gives,
// for nothing else makes that hash; that the child exists is for the caller to ask, as with Next. Errors
// wrap [ErrUnresolvable] where nothing fits, and else are those of Next. See auth/chain/LINEAGE.md 5.8.
func (s *State) Search(ctx context.Context, sp *CoinSpend, child Coin) (*State, error) {
	next, err := s.search(ctx, sp, child)
	if err != nil {
		return nil, fmt.Errorf("search the spend of coin %v of store %v: %w", s.CoinID(), s.Store, err)
	}
	return next, nil
}

func (s *State) search(ctx context.Context, sp *CoinSpend, child Coin) (*State, error) {
	before, o, err := s.open(sp)
	if err != nil {
		return nil, err
	}
	if child.Parent != s.CoinID() || child.Amount%2 == 0 {
		return nil, fmt.Errorf("%w: coin %v, of %d, is no store coin made by this spend", ErrSourceInvalid, child.ID(), child.Amount)
	}
	c := candidates{}
	c.addMetadata(o.list)
	c.addInner(o.innerHash)
	c.addInner(o.owner)
	if err := c.collect(ctx, o.inner, o.solution); err != nil {
		return nil, err
	}
	for _, root := range c.roots {
		c.addInner(delegationHash(s.Store, o.owner, root))
	}
	for _, list := range c.metadata {
		for _, inner := range c.inner {
			if storePuzzleHash(s.Store, list.TreeHash(), inner) != child.PuzzleHash {
				continue
			}
			m := &made{inner: inner, amount: child.Amount, list: list}
			if m.metadata, err = readMetadata(list); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrNotDataStore, err)
			}
			return c.owned(m, before, o.by())
		}
	}
	return nil, fmt.Errorf("%w: none of %d metadata and %d inner puzzles in it makes puzzle %v", ErrUnresolvable,
		len(c.metadata), len(c.inner), child.PuzzleHash)
}

// candidates is what a spend might mean.
type candidates struct {
	metadata []*clvm.Node
	inner    []merkle.Hash // puzzle hashes
	roots    []merkle.Hash // of delegates
	memos    []*clvm.Node
}

func (c *candidates) addMetadata(list *clvm.Node) {
	if _, err := readMetadata(list); err == nil {
		c.metadata = candidate(c.metadata, list)
	}
}

func (c *candidates) addInner(h merkle.Hash) { c.inner = candidate(c.inner, h) }

// candidate appends what is not there yet, while there is room.
func candidate[T comparable](list []T, v T) []T {
	for _, have := range list {
		if have == v {
			return list
		}
	}
	if len(list) == maxSearchCandidates {
		return list
	}
	return append(list, v)
}

// collect looks at every pair of the programs, each once however often it occurs.
func (c *candidates) collect(ctx context.Context, programs ...*clvm.Node) error {
	seen := map[*clvm.Node]bool{}
	for todo := programs; len(todo) > 0; {
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		left, right, ok := n.Pair()
		if !ok || seen[n] {
			continue
		}
		if seen[n] = true; len(seen) > maxSearchPairs {
			return fmt.Errorf("%w: more than %d pairs to search", ErrTooLarge, maxSearchPairs)
		}
		if len(seen)%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		c.look(n)
		todo = append(todo, right, left)
	}
	return nil
}

// look takes what a pair may mean: (51 ph amount memos), (-24 updater ((metadata …) …)), (-13 root . memos).
func (c *candidates) look(n *clvm.Node) {
	items, rest, ok := n.Take(2)
	if !ok {
		return
	}
	h, isHash := items[1].Bytes32()
	switch {
	case isHash && isOp(items[0], condNewMerkle):
		c.roots = candidate(c.roots, merkle.Hash(h))
		c.memos = candidate(c.memos, rest)
	case isHash && isOp(items[0], condCreateCoin):
		c.addInner(h)
		if more, _, ok := rest.Take(2); ok {
			c.memos = candidate(c.memos, more[1])
		}
	case isOp(items[0], condNewMetadata):
		// Its third item is ((metadata updater) conditions).
		if list, ok := first(rest, 3); ok {
			c.addMetadata(list)
		}
	}
}

// first goes into the first item of a list, so many lists deep.
func first(n *clvm.Node, depth int) (*clvm.Node, bool) {
	ok := true
	for range depth {
		if n, _, ok = n.Pair(); !ok {
			return nil, false
		}
	}
	return n, true
}

// owned returns the state of the new coin by the memos that say most about whose it is.
func (c *candidates) owned(m *made, before *State, by Role) (best *State, err error) {
	for _, memos := range append([]*clvm.Node{nil}, c.memos...) {
		m.memos = memos
		s, err := m.state(before, by)
		if err != nil {
			return nil, err
		}
		if s.OwnerKnown && s.DelegatesKnown {
			return s, nil
		}
		if best == nil || s.OwnerKnown && !best.OwnerKnown {
			best = s
		}
	}
	return best, nil
}
