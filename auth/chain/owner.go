package chain

import (
	"github.com/dig-network/digstore/auth/chain/internal/puzzle"
	"github.com/dig-network/digstore/internal/clvm"
	"github.com/dig-network/digstore/merkle"
)

// Anyone can add memos to a spend. An owner and delegates from memos are used only if they make
// the inner puzzle hash of the coin. See auth/chain/LINEAGE.md 5.7.

// maxDelegates is the limit of delegates in memos. With more, the delegates are not known.
const maxDelegates = 1 << 12

// readOwner sets the owner and the delegates of s, from memos and from the previous state,
// which is nil for the first.
func (s *State) readOwner(memos *clvm.Node, before *State) {
	known := func(owner merkle.Hash, delegates []Delegate) {
		s.Owner, s.OwnerKnown, s.Delegates, s.DelegatesKnown = owner, true, delegates, true
	}
	if owner, delegates, ok := parseMemos(memos); ok {
		if len(delegates) == 0 && owner == s.Inner ||
			puzzle.DelegationHash(s.Store, owner, DelegatesRoot(delegates)) == s.Inner {
			known(owner, delegates)
			return
		}
	}
	if items, ok := memos.Exactly(2); ok { // (root inner), the form before CHIP-0035
		if inner, ok := items[1].Bytes32(); ok && merkle.Hash(inner) == s.Inner {
			known(s.Inner, nil)
			return
		}
	}
	switch {
	case before == nil:
	case s.Inner == before.Inner:
		s.Owner, s.OwnerKnown = before.Owner, before.OwnerKnown
		s.Delegates, s.DelegatesKnown = before.Delegates, before.DelegatesKnown
		return
	case before.OwnerKnown && s.Inner == before.Owner:
		known(before.Owner, nil)
		return
	}
	s.Owner, s.OwnerKnown = s.Inner, false
	s.Delegates, s.DelegatesKnown = nil, false
}

// parseMemos parses an owner and the delegates after it: 01 and a puzzle for an admin, 02 and a
// puzzle for a writer, 03, a puzzle and a fee for an oracle. ok means that the list has exactly
// this form.
func parseMemos(memos *clvm.Node) (owner merkle.Hash, delegates []Delegate, ok bool) {
	first, rest, ok := memos.Pair()
	if !ok {
		return owner, nil, false
	}
	hash32, ok := first.Bytes32()
	if !ok {
		return owner, nil, false
	}
	for !rest.IsNil() {
		items, after, ok := rest.Take(2)
		if !ok || len(delegates) == maxDelegates {
			return owner, nil, false
		}
		kind, ok := items[0].Uint64()
		if !ok || kind < 1 || kind > 3 {
			return owner, nil, false
		}
		hash, ok := items[1].Bytes32()
		if !ok {
			return owner, nil, false
		}
		d := Delegate{Role: [...]Role{RoleAdmin, RoleWriter, RoleOracle}[kind-1], Puzzle: hash}
		if d.Role == RoleOracle {
			if items, after, ok = after.Take(1); !ok {
				return owner, nil, false
			}
			if d.Fee, ok = items[0].Uint64(); !ok {
				return owner, nil, false
			}
		}
		delegates, rest = append(delegates, d), after
	}
	return hash32, delegates, true
}
