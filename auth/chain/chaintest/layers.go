package chaintest

import (
	"slices"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/merkle"
)

// The puzzle of a store coin, from the outside: singleton, state, and the owner's puzzle or the
// delegation layer around it. See auth/chain/LINEAGE.md 3.3. Package chain identifies these
// layers by hashes; here they are programs, so that the two check each other.

// updater is the program that guards the metadata.
func updater() *clvm.Node { return clvm.Int(11) }

func (s *Store) puzzle(p place) *clvm.Node { return singleton(s.id, s.statePuzzle(p)) }

func (s *Store) statePuzzle(p place) *clvm.Node {
	return stateLayer(metadataNode(p.metadata), s.inner(p))
}

func singleton(id auth.StoreID, inner *clvm.Node) *clvm.Node {
	mod := program("singleton")
	hash, launcher := mod.TreeHash(), program("launcher").TreeHash()
	self := clvm.Pair(hashNode(hash), clvm.Pair(hashNode(merkle.Hash(id)), hashNode(launcher)))
	return clvm.Curry(mod, self, inner)
}

func stateLayer(metadata, inner *clvm.Node) *clvm.Node {
	mod := program("state")
	return clvm.Curry(mod, hashNode(mod.TreeHash()), metadata, hashNode(updater().TreeHash()), inner)
}

func (s *Store) inner(p place) *clvm.Node {
	if !p.layered {
		return p.owner.program
	}
	mod := program("delegation")
	hash, root := mod.TreeHash(), delegatesRoot(p.delegates)
	return clvm.Curry(mod, clvm.Atom(hash[:]), clvm.Atom(s.id[:]), hashNode(p.owner.Hash()),
		clvm.Atom(root[:]))
}

// ownership returns the memos that name the owner's puzzle hash and each delegate.
func (s *Store) ownership(p place) *clvm.Node {
	memos := []*clvm.Node{hashNode(p.owner.Hash())}
	for _, d := range p.delegates {
		memos = append(memos, clvm.Int(int64(d.Role-chain.RoleOwner)), hashNode(d.Delegate.Puzzle))
		if d.Role == chain.RoleOracle {
			memos = append(memos, clvm.Uint(d.Fee))
		}
	}
	return clvm.List(memos...)
}

// delegatesRoot returns the root of the tree of delegates' puzzles.
func delegatesRoot(delegates []Delegate) merkle.Hash {
	switch n := len(delegates); n {
	case 0:
		return merkle.Hash{}
	case 1:
		hash := delegates[0].puzzle.Hash()
		return clvm.HashAtom(hash[:])
	default:
		return clvm.HashPair(delegatesRoot(delegates[:(n+1)/2]), delegatesRoot(delegates[(n+1)/2:]))
	}
}

// proof returns the proof that a delegate is in that tree: the path from the leaf up as the bits of
// a number, 1 for a right node, and the sibling hashes.
func (s *Store) proof(d *Delegate) *clvm.Node {
	var turns int64
	var hashes []*clvm.Node
	list := s.now.delegates
	at := slices.IndexFunc(list, func(k Delegate) bool { return k.Delegate == d.Delegate })
	if at < 0 {
		panic("chaintest: no such delegate of the store")
	}
	var walk func(list []Delegate, at int)
	walk = func(list []Delegate, at int) {
		if len(list) == 1 {
			return
		}
		half := (len(list) + 1) / 2
		other := list[half:]
		if at < half {
			walk(list[:half], at)
		} else {
			walk(list[half:], at-half)
			other = list[:half]
		}
		if at >= half {
			turns |= 1 << len(hashes)
		}
		hashes = append(hashes, hashNode(delegatesRoot(other)))
	}
	walk(list, at)
	return clvm.Pair(clvm.Int(turns), clvm.List(hashes...))
}

// metadataNode returns the metadata list of a store coin.
func metadataNode(m chain.Metadata) *clvm.Node {
	list := []*clvm.Node{hashNode(m.Root)}
	item := func(key string, value *clvm.Node) {
		list = append(list, clvm.Pair(clvm.Text(key), value))
	}
	if m.Label != nil {
		item("l", clvm.Text(*m.Label))
	}
	if m.Description != nil {
		item("d", clvm.Text(*m.Description))
	}
	if m.Bytes != nil {
		item("b", clvm.Uint(*m.Bytes))
	}
	if m.SizeProof != nil {
		item("sp", clvm.Text(*m.SizeProof))
	}
	return clvm.List(list...)
}
