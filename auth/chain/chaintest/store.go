package chaintest

import (
	"context"
	"fmt"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/merkle"
)

// A Store is a store on a [Chain] with the data to spend its coin. Not safe for concurrent use.
type Store struct {
	chain *Chain
	id    auth.StoreID
	now   place
	past  []place // earlier places, oldest first
}

// A place is a store coin with the parts of its puzzle.
type place struct {
	coin      chain.Coin
	metadata  chain.Metadata
	owner     Puzzle
	layered   bool // there is a delegation layer around the owner's puzzle
	delegates []Delegate
	by        chain.Role
	melted    bool
}

// Mint makes a store from a launcher coin that is made and spent in one block. The launcher has
// the hint of the owner, like DIG's mints.
func (c *Chain) Mint(metadata chain.Metadata, owner Puzzle, delegates ...Delegate) *Store {
	hint := chain.OwnerHint(owner.Hash())
	return c.mint(func() chain.Coin {
		return c.Hinted(program("launcher").TreeHash(), 1, hint)
	}, metadata, owner, delegates)
}

// MintFrom is Mint with a launcher coin whose parent is another coin. The parent need not be on
// the chain, so a test can make the same store on two chains.
func (c *Chain) MintFrom(parent merkle.Hash, metadata chain.Metadata, owner Puzzle,
	delegates ...Delegate) *Store {
	return c.mint(func() chain.Coin {
		k := chain.Coin{Parent: parent, PuzzleHash: program("launcher").TreeHash(), Amount: 1}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.add(k, nil, c.next())
		return k
	}, metadata, owner, delegates)
}

func (c *Chain) mint(launch func() chain.Coin, metadata chain.Metadata, owner Puzzle,
	delegates []Delegate) *Store {
	var s *Store
	c.once(func() {
		coin := launch()
		launcher := program("launcher")
		s = &Store{chain: c, id: auth.StoreID(coin.ID()),
			now: place{metadata: metadata, owner: owner, layered: len(delegates) > 0, delegates: delegates}}
		s.now.coin = chain.Coin{Parent: coin.ID(), PuzzleHash: s.puzzle(s.now).TreeHash(), Amount: 1}
		memos := clvm.Nil()
		if s.now.layered {
			memos = s.ownership(s.now)
		}
		inner := s.inner(s.now).TreeHash()
		kv := clvm.Pair(metadataNode(metadata), clvm.Pair(clvm.Atom(inner[:]), memos))
		solution := clvm.List(hashNode(s.now.coin.PuzzleHash), clvm.Uint(1), kv)
		// The launcher gives its coin no memos and thus no hint.
		sp := &chain.CoinSpend{Coin: coin, Puzzle: serial(launcher), Solution: serial(solution)}
		if err := c.Spend(sp, []chain.Coin{s.now.coin}, nil); err != nil {
			panic(err)
		}
	})
	return s
}

// once calls f as Together does, unless it is called in Together.
func (c *Chain) once(f func()) {
	c.mu.Lock()
	open := c.open
	c.mu.Unlock()
	if open {
		f()
		return
	}
	c.Together(f)
}

func (c *Chain) must(sp *chain.CoinSpend, made chain.Coin, id auth.StoreID) {
	hint := merkle.Hash(id)
	var coins []chain.Coin
	if made != (chain.Coin{}) {
		coins = append(coins, made)
	}
	if err := c.Spend(sp, coins, &hint); err != nil {
		panic(err)
	}
}

// ID returns the store's id.
func (s *Store) ID() auth.StoreID { return s.id }

// Coin returns the store's coin, or the last one before it was melted.
func (s *Store) Coin() chain.Coin { return s.now.coin }

// State returns the current state of the store. It is computed from the store's steps, not from
// the chain.
func (s *Store) State() *chain.State {
	state := &chain.State{
		Store: s.id, Coin: s.now.coin, Generation: len(s.past), Metadata: s.now.metadata,
		Inner: s.inner(s.now).TreeHash(), Owner: s.now.owner.Hash(), OwnerKnown: true,
		DelegatesKnown: true, By: s.now.by,
	}
	for _, d := range s.now.delegates {
		state.Delegates = append(state.Delegates, d.Delegate)
	}
	return state
}

// Update sets a new root, by the owner.
func (s *Store) Update(root merkle.Hash) { s.UpdateBy(nil, chain.Metadata{Root: root}) }

// UpdateBy replaces the store's metadata, by a delegate, or by the owner if by is nil.
func (s *Store) UpdateBy(by *Delegate, metadata chain.Metadata) {
	next := s.now
	next.metadata = metadata
	s.step(by, next, UpdateMetadata(metadata))
}

// Transfer changes the owner and the delegates, by the owner. The memos name them.
func (s *Store) Transfer(owner Puzzle, delegates ...Delegate) {
	next := s.now
	next.owner, next.delegates, next.layered = owner, delegates, len(delegates) > 0
	s.step(nil, next)
}

// Delegate replaces the store's delegates, by an admin or, if by is nil, the owner. If an admin
// removes all delegates, the delegation layer stays.
func (s *Store) Delegate(by *Delegate, delegates ...Delegate) {
	next := s.now
	next.delegates, next.layered = delegates, by != nil || len(delegates) > 0
	if by == nil {
		s.step(nil, next)
		return
	}
	root := delegatesRoot(delegates)
	memos := clvm.Pair(clvm.Atom(s.id[:]), s.ownership(next))
	s.step(by, next, Condition{clvm.Pair(clvm.Int(-13), clvm.Pair(hashNode(root), memos))})
}

// Touch spends the store by an oracle, which changes nothing.
func (s *Store) Touch(by *Delegate) { s.step(by, s.now) }

// Melt destroys the store, by the owner.
func (s *Store) Melt() {
	next := s.now
	next.melted = true
	s.step(nil, next)
}

// step spends the store's coin so that next is the new place. The conditions precede those that
// make the new coin.
func (s *Store) step(by *Delegate, next place, conditions ...Condition) {
	next.by = chain.RoleOwner
	switch {
	case next.melted:
		conditions = append(conditions, Melt())
	case by != nil: // the layer makes the coin
		next.by = by.Role
	default:
		inner := s.inner(next).TreeHash()
		memos := clvm.List(clvm.Atom(s.id[:]))
		if inner != s.inner(s.now).TreeHash() {
			memos = clvm.Pair(clvm.Atom(s.id[:]), s.ownership(next))
		}
		conditions = append(conditions, createCoin(inner, s.now.coin.Amount, memos))
	}
	sp := s.Solve(by, conditions...)
	if next.melted {
		s.chain.must(sp, chain.Coin{}, s.id)
		s.now.melted = true
		return
	}
	next.coin = chain.Coin{Parent: s.now.coin.ID(), PuzzleHash: s.puzzle(next).TreeHash(),
		Amount: s.now.coin.Amount}
	s.chain.must(sp, next.coin, s.id)
	s.past = append(s.past, s.now)
	s.now = next
}

// Solve returns a spend of the store's coin with these conditions. It does not add it to the chain.
func (s *Store) Solve(by *Delegate, conditions ...Condition) *chain.CoinSpend {
	list := conditionList(conditions)
	var inner *clvm.Node
	switch {
	case !s.now.layered:
		inner = s.now.owner.solution(list)
	case by == nil:
		inner = clvm.List(clvm.Nil(), s.now.owner.program, s.now.owner.solution(list))
	default:
		inner = clvm.List(s.proof(by), by.puzzle.program, by.puzzle.solution(list))
	}
	solution := clvm.List(s.lineageProof(), clvm.Uint(s.now.coin.Amount), clvm.List(inner))
	return &chain.CoinSpend{Coin: s.now.coin, Puzzle: serial(s.puzzle(s.now)),
		Solution: serial(solution)}
}

// lineageProof returns the lineage proof of the coin: its parent is the launcher or another coin
// of the store.
func (s *Store) lineageProof() *clvm.Node {
	if len(s.past) == 0 {
		launcher, _ := s.chain.CoinRecord(context.Background(), merkle.Hash(s.id))
		return clvm.List(hashNode(launcher.Coin.Parent), clvm.Uint(launcher.Coin.Amount))
	}
	parent := s.past[len(s.past)-1]
	state := s.statePuzzle(parent).TreeHash()
	return clvm.List(hashNode(parent.coin.Parent), clvm.Atom(state[:]), clvm.Uint(parent.coin.Amount))
}

// Rewind removes the spends that a [Chain.Reorg] removed from the chain.
func (s *Store) Rewind() {
	for s.now.melted || !s.onChain(s.now.coin) {
		if s.now.melted {
			s.now.melted = false
			continue
		}
		if len(s.past) == 0 {
			panic(fmt.Sprintf("chaintest: store %v itself is gone", s.id))
		}
		s.now, s.past = s.past[len(s.past)-1], s.past[:len(s.past)-1]
	}
}

func (s *Store) onChain(k chain.Coin) bool {
	s.chain.mu.Lock()
	defer s.chain.mu.Unlock()
	return s.chain.coins[k.ID()] != nil
}
