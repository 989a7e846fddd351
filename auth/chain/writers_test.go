package chain_test

import (
	"context"
	"errors"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/chaintest"
	"github.com/dig-network/digstore/merkle"
)

// A store changes hands, and gains and loses a writer. What counts is what is settled.
func TestCanWrite(t *testing.T) {
	owner, second, writer, stranger := key(t, 1), key(t, 2), key(t, 3), key(t, 4)
	wallet, err := chain.SyntheticKey(writer) // as wallets hold it
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
			for how, r := range map[string]*chain.Resolver{"known": r, "new": chain.NewResolver(c, fresh())} {
				if role, err := r.CanWrite(t.Context(), s.ID(), k); role != w.role || !errors.Is(err, w.err) {
					t.Errorf("%s, %s: key %d is %v, %v; want %v, %v", when, how, k.Fingerprint(), role, err, w.role, w.err)
				}
			}
		}
	}
	check("minted", map[auth.PublicKey]want{owner: {chain.RoleOwner, chain.ErrShallow}, stranger: {}})
	c.Farm(31)
	check("settled", map[auth.PublicKey]want{owner: {chain.RoleOwner, nil}, stranger: {}})
	s.Delegate(nil, chaintest.Writer(chaintest.Standard(wallet)))
	check("writer in sight", map[auth.PublicKey]want{owner: {chain.RoleOwner, nil}, writer: {chain.RoleWriter, chain.ErrShallow}})
	c.Farm(31)
	check("writer settled", map[auth.PublicKey]want{owner: {chain.RoleOwner, nil}, writer: {chain.RoleWriter, nil}})
	s.Transfer(chaintest.Standard(second))
	s.Update(root(1))
	check("handed over", map[auth.PublicKey]want{owner: {chain.RoleOwner, nil}, writer: {chain.RoleWriter, nil}, second: {chain.RoleOwner, chain.ErrShallow}})
	c.Farm(31)
	check("handed over for good", map[auth.PublicKey]want{owner: {}, writer: {}, second: {chain.RoleOwner, nil}})

	update := func(k auth.PublicKey, root merkle.Hash) chain.Update {
		return chain.Update{Store: s.ID(), Root: root, Key: k, Held: owner}
	}
	for name, tt := range map[string]struct {
		by   chain.Authorizer
		u    chain.Update
		want error
	}{
		"store key":                  {chain.StoreKey{}, update(owner, root(2)), nil},
		"another than the store key": {chain.StoreKey{}, update(second, root(2)), auth.ErrForbidden},
		"key on the chain":           {chain.OnChainKey{Resolver: r}, update(second, root(2)), nil},
		"former key on the chain":    {chain.OnChainKey{Resolver: r}, update(owner, root(2)), auth.ErrForbidden},
		"both":                       {chain.All(chain.StoreKey{}, chain.OnChainKey{Resolver: r}), update(second, root(2)), auth.ErrForbidden},
		"either":                     {chain.Any(chain.StoreKey{}, chain.OnChainKey{Resolver: r}), update(second, root(2)), nil},
		"nobody":                     {chain.Any(), update(second, root(2)), auth.ErrForbidden},
		"the newest root":            {chain.TipRoot{Resolver: r}, update(stranger, root(1)), nil},
		"another root":               {chain.TipRoot{Resolver: r}, update(owner, root(2)), auth.ErrForbidden},
	} {
		if err := tt.by.Authorize(t.Context(), tt.u); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

// Who may write is not guessed.
func TestCanWriteUnknown(t *testing.T) {
	owner := key(t, 1)
	c := newChain(t)
	s := c.Mint(chain.Metadata{}, chaintest.Anyone(1))
	c.Farm(31)
	r := chain.NewResolver(c, fresh())
	if role, err := r.CanWrite(t.Context(), s.ID(), owner); role != chain.RoleNone || err != nil {
		t.Errorf("a puzzle without a key: %v, %v", role, err)
	}
	// The owner goes to a puzzle of which no memo speaks, which a delegation layer could be.
	to := chaintest.Standard(key(t, 2))
	next := chain.Coin{Parent: s.Coin().ID(), PuzzleHash: chain.StorePuzzleHash(s.ID(), chain.Metadata{}, to.Hash()), Amount: 1}
	if err := c.Spend(s.Solve(nil, chaintest.CreateCoin(to.Hash(), 1)), []chain.Coin{next}, nil); err != nil {
		t.Fatal(err)
	}
	c.Farm(31)
	tip, err := r.Tip(t.Context(), s.ID())
	if err != nil || tip.OwnerKnown || tip.Owner != to.Hash() || tip.DelegatesKnown {
		t.Errorf("handed over without a word: %+v, %v", tip, err)
	}
	if role, err := r.CanWrite(t.Context(), s.ID(), owner); role != chain.RoleNone || !errors.Is(err, chain.ErrWritersUnknown) {
		t.Errorf("somebody: %v, %v, want ErrWritersUnknown", role, err)
	}
	// A key whose own puzzle it is needs no memo.
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

func TestOwned(t *testing.T) {
	c := newChain(t)
	mine := c.Mint(chain.Metadata{Root: root(1)}, chaintest.Standard(key(t, 1)))
	given := c.Mint(chain.Metadata{Root: root(2)}, chaintest.Standard(key(t, 1)))
	melted := c.Mint(chain.Metadata{}, chaintest.Standard(key(t, 1)))
	c.Mint(chain.Metadata{}, chaintest.Standard(key(t, 2)))
	given.Transfer(chaintest.Standard(key(t, 2)))
	melted.Melt()
	owner := chaintest.Standard(key(t, 1)).Hash()
	hinted := map[merkle.Hash]bool{}
	for _, s := range []*chaintest.Store{mine, given, melted} {
		hinted[merkle.Hash(s.ID())] = true
	}
	r := chain.NewResolver(owned{c, chain.OwnerHint(owner), hinted}, fresh())
	got, err := r.Owned(t.Context(), owner)
	if err != nil || len(got) != 1 || got[0].Store != mine.ID() {
		t.Errorf("%v, %v, want one store, %v", got, err, mine.ID())
	}
}

// owned gives launchers the hint of an owner, as mints of DIG do.
type owned struct {
	*chaintest.Chain
	hint      merkle.Hash
	launchers map[merkle.Hash]bool
}

func (o owned) ByHint(ctx context.Context, hint merkle.Hash, includeSpent bool) ([]chain.CoinRecord, error) {
	if hint != o.hint {
		return o.Chain.ByHint(ctx, hint, includeSpent)
	}
	var list []chain.CoinRecord
	for id := range o.launchers {
		rec, err := o.CoinRecord(ctx, id)
		if err != nil {
			return nil, err
		}
		list = append(list, *rec)
	}
	return list, nil
}
