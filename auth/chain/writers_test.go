package chain_test

import (
	"errors"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/chaintest"
	"github.com/dig-network/digstore/merkle"
)

// TestCanWrite: a store is transferred, and a writer is added and removed. Only settled
// generations count.
func TestCanWrite(t *testing.T) {
	owner, second, writer, stranger := key(t, 1), key(t, 2), key(t, 3), key(t, 4)
	wallet, err := chain.SyntheticKey(writer) // the key of a wallet
	if err != nil {
		t.Fatal(err)
	}
	c := newChain(t)
	r := chain.NewResolver(c, fresh())
	s := c.Mint(chain.Metadata{}, chaintest.Standard(owner))
	type want struct {
		role chain.Role
		err  error
	}
	check := func(when string, wants map[auth.PublicKey]want) {
		t.Helper()
		for k, w := range wants {
			for how, r := range map[string]*chain.Resolver{"known": r,
				"new": chain.NewResolver(c, fresh())} {
				if role, err := r.CanWrite(t.Context(), s.ID(), k); role != w.role || !errors.Is(err, w.err) {
					t.Errorf("%s, %s: key %d is %v, %v; want %v, %v", when, how, k.Fingerprint(), role, err,
						w.role, w.err)
				}
			}
		}
	}
	check("minted", map[auth.PublicKey]want{owner: {chain.RoleOwner, chain.ErrShallow}, stranger: {}})
	c.Farm(31)
	check("settled", map[auth.PublicKey]want{owner: {chain.RoleOwner, nil}, stranger: {}})
	s.Delegate(nil, chaintest.Writer(chaintest.Standard(wallet)))
	check("writer in sight", map[auth.PublicKey]want{owner: {chain.RoleOwner, nil},
		writer: {chain.RoleWriter, chain.ErrShallow}})
	c.Farm(31)
	check("writer settled", map[auth.PublicKey]want{owner: {chain.RoleOwner, nil},
		writer: {chain.RoleWriter, nil}})
	s.Transfer(chaintest.Standard(second))
	s.Update(root(1))
	check("handed over", map[auth.PublicKey]want{owner: {chain.RoleOwner, nil},
		writer: {chain.RoleWriter, nil}, second: {chain.RoleOwner, chain.ErrShallow}})
	c.Farm(31)
	check("handed over for good", map[auth.PublicKey]want{owner: {}, writer: {},
		second: {chain.RoleOwner, nil}})
	// The puzzle that an oracle pays has no write access.
	s = c.Mint(chain.Metadata{}, chaintest.Standard(owner),
		chaintest.Oracle(chaintest.Standard(writer).Hash(), 2),
		chaintest.Oracle(chaintest.Standard(second).Hash(),
			2), chaintest.Writer(chaintest.Standard(second)))
	c.Farm(31)
	check("oracles", map[auth.PublicKey]want{writer: {}, second: {chain.RoleWriter, nil}})
}

// TestAuthority checks each Authority as a server uses it for updates.
func TestAuthority(t *testing.T) {
	owner, former, added, stranger := key(t, 1), key(t, 2), key(t, 3), key(t, 4)
	c := newChain(t)
	s := c.Mint(chain.Metadata{}, chaintest.Standard(owner),
		chaintest.Writer(chaintest.Standard(former)))
	s.Update(root(1))
	melted := c.Mint(chain.Metadata{}, chaintest.Standard(owner))
	melted.Melt()
	c.Farm(31)
	s.Delegate(nil, chaintest.Writer(chaintest.Standard(added)))
	r := chain.NewResolver(c, fresh())
	onChain, tip := chain.OnChainKey{Resolver: r}, chain.TipRoot{Resolver: r}
	down := chain.OnChainKey{Resolver: chain.NewResolver(&broken{c, chain.ErrUnavailable}, fresh())}
	none := auth.PublicKey{}
	for _, tt := range []struct {
		name    string
		by      chain.Authority
		key     auth.PublicKey
		root    int
		held    auth.PublicKey
		settled bool
		want    error
	}{
		{"store key", chain.StoreKey{}, owner, 2, owner, true, nil},
		{"store key, first push", chain.StoreKey{}, stranger, 2, none, true, nil},
		{"not the store key", chain.StoreKey{}, added, 2, owner, false, auth.ErrForbidden},
		{"owner on the chain", onChain, owner, 2, none, true, nil},
		{"writer who is being removed", onChain, former, 2, owner, true, nil},
		{"writer who is being added", onChain, added, 2, owner, false, nil},
		{"nobody on the chain", onChain, stranger, 2, stranger, false, auth.ErrForbidden},
		{"chain that cannot be asked", down, owner, 2, owner, false, chain.ErrUnavailable},
		{"both", chain.All(chain.StoreKey{}, onChain), owner, 2, owner, true, nil},
		{"both, one pending", chain.All(chain.StoreKey{}, onChain), added, 2, added, false, nil},
		{"both, one not", chain.All(chain.StoreKey{}, onChain), former, 2, owner, false, auth.ErrForbidden},
		{"either", chain.Any(chain.StoreKey{}, onChain), former, 2, owner, true, nil},
		{"either, pending", chain.Any(chain.StoreKey{}, onChain), added, 2, owner, false, nil},
		{"either, neither", chain.Any(chain.StoreKey{}, onChain), stranger, 2, owner, false, auth.ErrForbidden},
		{"either, one cannot tell", chain.Any(chain.StoreKey{}, down), stranger, 2, owner, false, chain.ErrUnavailable},
		{"nobody asked", chain.Any(), owner, 2, owner, false, auth.ErrForbidden},
		{"newest root", tip, stranger, 1, owner, true, nil}, // the change of writers is shallow, the root is not
		{"another root", tip, owner, 2, owner, false, auth.ErrForbidden},
	} {
		head := auth.SignedRoot{Store: s.ID(), Root: root(tt.root), PublicKey: tt.key}
		if settled, err := tt.by.Publish(t.Context(), head, tt.held); settled != tt.settled ||
			!errors.Is(err, tt.want) {
			t.Errorf("%s: settled %v, %v; want %v, %v", tt.name, settled, err, tt.settled, tt.want)
		}
	}
	s.Update(root(3))
	if settled, err := tip.Publish(t.Context(), auth.SignedRoot{Store: s.ID(), Root: root(3)},
		owner); settled || err != nil {
		t.Errorf("the newest root, a moment ago: %v, %v", settled, err)
	}
	c.Farm(31)
	head := auth.SignedRoot{Store: s.ID(), Root: root(3), PublicKey: former}
	if settled, err := tip.Publish(t.Context(), head, owner); !settled || err != nil {
		t.Errorf("the newest root, settled: %v, %v", settled, err)
	}
	if _, err := onChain.Publish(t.Context(), head, owner); !errors.Is(err, auth.ErrForbidden) {
		t.Errorf("a former writer, settled: %v", err)
	}
	for name, store := range map[string]auth.StoreID{"melted": melted.ID(), "unknown": {1}} {
		for _, by := range []chain.Authority{onChain, tip} {
			if _, err := by.Publish(t.Context(), auth.SignedRoot{Store: store, Root: root(1),
				PublicKey: owner}, owner); !errors.Is(err, auth.ErrForbidden) {
				t.Errorf("a store that is %s, by %T: %v", name, by, err)
			}
		}
	}
}

// TestCanWriteUnknown: if the writers are unknown, CanWrite returns ErrWritersUnknown.
func TestCanWriteUnknown(t *testing.T) {
	owner := key(t, 1)
	c := newChain(t)
	s := c.Mint(chain.Metadata{}, chaintest.Anyone(1))
	c.Farm(31)
	r := chain.NewResolver(c, fresh())
	if role, err := r.CanWrite(t.Context(), s.ID(), owner); role != chain.RoleNone || err != nil {
		t.Errorf("a puzzle without a key: %v, %v", role, err)
	}
	// The new owner's puzzle is named by no memo, so it could be a delegation layer.
	to := chaintest.Standard(key(t, 2))
	next := chain.Coin{Parent: s.Coin().ID(),
		PuzzleHash: chain.StorePuzzleHash(s.ID(), chain.Metadata{}, to.Hash()), Amount: 1}
	if err := c.Spend(s.Solve(nil, chaintest.CreateCoin(to.Hash(), 1)), []chain.Coin{next},
		nil); err != nil {
		t.Fatal(err)
	}
	c.Farm(31)
	tip, err := r.Tip(t.Context(), s.ID())
	if err != nil || tip.OwnerKnown || tip.Owner != to.Hash() || tip.DelegatesKnown {
		t.Errorf("handed over without a word: %+v, %v", tip, err)
	}
	if role, err := r.CanWrite(t.Context(), s.ID(), owner); role != chain.RoleNone ||
		!errors.Is(err, chain.ErrWritersUnknown) {
		t.Errorf("somebody: %v, %v, want ErrWritersUnknown", role, err)
	}
	// The key of the puzzle itself needs no memo.
	if role, err := r.CanWrite(t.Context(), s.ID(), key(t, 2)); role != chain.RoleOwner || err != nil {
		t.Errorf("the new owner: %v, %v", role, err)
	}
}

func TestVerifyRoot(t *testing.T) {
	c, s := minted(t, 3)
	empty := c.Mint(chain.Metadata{}, chaintest.Anyone(1))
	r := chain.NewResolver(c, nil)
	for name, tt := range map[string]struct {
		store auth.StoreID
		root  merkle.Hash
		mode  chain.RootMode
		want  error
	}{
		"newest":                  {s.ID(), root(3), chain.TipOnly, nil},
		"newest of any":           {s.ID(), root(3), chain.AnyGeneration, nil},
		"older":                   {s.ID(), root(2), chain.TipOnly, chain.ErrNotAnchored},
		"older of any":            {s.ID(), root(2), chain.AnyGeneration, nil},
		"foreign":                 {s.ID(), root(9), chain.AnyGeneration, chain.ErrNotAnchored},
		"zero":                    {empty.ID(), merkle.Hash{}, chain.TipOnly, chain.ErrNotAnchored},
		"zero of any":             {empty.ID(), merkle.Hash{}, chain.AnyGeneration, chain.ErrNotAnchored},
		"of a store without root": {empty.ID(), root(1), chain.TipOnly, chain.ErrNotAnchored},
	} {
		if err := r.VerifyRoot(t.Context(), tt.store, tt.root, tt.mode); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}
