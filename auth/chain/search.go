package chain

import (
	"context"
	"fmt"

	"github.com/dig-network/digstore/auth/chain/internal/puzzle"
	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/merkle"
)

// Limits of a search: pairs that are visited, and candidates of each kind.
const (
	maxSearchPairs      = 1 << 18
	maxSearchCandidates = 64
)

// Search is [State.Next] for a spend with a puzzle that cannot be run ([ErrUnsupportedOp]).
// child is the coin with an odd amount that, according to the source, the spend made. Search
// looks in puzzle and solution for the metadata and the inner puzzle that make the child's
// puzzle hash. The hash proves the result, as with Next. The caller must check that the child
// exists. The error wraps [ErrUnresolvable] if nothing fits; other errors are those of Next. See
// auth/chain/LINEAGE.md 5.8.
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
		return nil, fmt.Errorf("%w: coin %v with amount %d is not a store coin made by this spend",
			ErrSourceInvalid, child.ID(), child.Amount)
	}
	c := candidates{}
	c.addMetadata(o.list)
	c.addInner(o.innerHash)
	c.addInner(o.owner)
	if err := c.collect(ctx, o.inner, o.solution); err != nil {
		return nil, err
	}
	for _, root := range c.roots {
		c.addInner(puzzle.DelegationHash(s.Store, o.owner, root))
	}
	for _, list := range c.metadata {
		for _, inner := range c.inner {
			if puzzle.StoreHash(s.Store, list.TreeHash(), inner) != child.PuzzleHash {
				continue
			}
			m := &made{inner: inner, amount: child.Amount, list: list}
			if m.metadata, err = readMetadata(list); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrNotDataStore, err)
			}
			return c.owned(m, before, o.by()), nil
		}
	}
	return nil, fmt.Errorf("%w: none of %d metadata and %d inner puzzles makes puzzle hash %v",
		ErrUnresolvable,
		len(c.metadata), len(c.inner), child.PuzzleHash)
}

// candidates are values in a spend that the new coin may have.
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

// candidate appends v if it is not in the list and the list is not full.
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

// collect visits every pair of the programs, each once.
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
		c.addPair(n)
		todo = append(todo, right, left)
	}
	return nil
}

// addPair adds the candidates of a pair: (51 ph amount memos), (-24 updater ((metadata …) …)),
// (-13 root . memos).
func (c *candidates) addPair(n *clvm.Node) {
	items, rest, ok := n.Take(2)
	if !ok {
		return
	}
	h, isHash := items[1].Bytes32()
	switch {
	case isHash && isOp(items[0], puzzle.CondNewMerkle):
		c.roots = candidate(c.roots, merkle.Hash(h))
		c.memos = candidate(c.memos, rest)
	case isHash && isOp(items[0], puzzle.CondCreateCoin):
		c.addInner(h)
		if more, _, ok := rest.Take(2); ok {
			c.memos = candidate(c.memos, more[1])
		}
	case isOp(items[0], puzzle.CondNewMetadata):
		// Its third item is ((metadata updater) conditions).
		if list, ok := first(rest, 3); ok {
			c.addMetadata(list)
		}
	}
}

// first returns the first item of the first item of a list, and so on, depth times.
func first(n *clvm.Node, depth int) (*clvm.Node, bool) {
	ok := true
	for range depth {
		if n, _, ok = n.Pair(); !ok {
			return nil, false
		}
	}
	return n, true
}

// owned returns the state of the new coin, with the memos that give the most complete owner and
// delegates.
func (c *candidates) owned(m *made, before *State, by Role) (best *State) {
	for _, memos := range append([]*clvm.Node{nil}, c.memos...) {
		m.memos = memos
		s := m.state(before, by)
		if s.OwnerKnown && s.DelegatesKnown {
			return s
		}
		if best == nil || s.OwnerKnown && !best.OwnerKnown {
			best = s
		}
	}
	return best
}
