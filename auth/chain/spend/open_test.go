package spend_test

import (
	"errors"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/chaintest"
	"github.com/dig-network/digstore/auth/chain/spend"
	"github.com/dig-network/digstore/internal/clvm"
)

// lastSpend returns the spend that made the tip of a store, and the tip's state.
func lastSpend(t *testing.T, c *chaintest.Chain, s *chaintest.Store) (*chain.State,
	*chain.CoinSpend) {
	t.Helper()
	state := s.State()
	rec, err := c.CoinRecord(t.Context(), state.Coin.Parent)
	if err != nil || rec == nil {
		t.Fatalf("the parent %v: %v, %v", state.Coin.Parent, rec, err)
	}
	sp, err := c.CoinSpend(t.Context(), state.Coin.Parent, rec.Spent)
	if err != nil {
		t.Fatal(err)
	}
	return state, sp
}

// TestOpen opens a store of another builder at each of its coins, updates it by owner and writer,
// and does so with metadata that no field of chain.Metadata holds.
func TestOpen(t *testing.T) {
	w := newWorld(t)
	c := chaintest.New(nil)
	writer := chaintest.Writer(chaintest.Standard(w.writer.key))
	s := c.Mint(chain.Metadata{Label: ptr("one")}, chaintest.Standard(w.owner.key), writer)
	check := func(step string) {
		t.Helper()
		state, sp := lastSpend(t, c, s)
		opened, err := spend.Open(t.Context(), state, sp)
		if err != nil {
			t.Fatalf("%s: %v", step, err)
		}
		state.Generation, state.By = -1, chain.RoleNone // an opened store does not know them
		if d := gocmp.Diff(state, opened.State()); d != "" {
			t.Errorf("%s (-want +got)\n%s", step, d)
		}
		for by, p := range map[chain.Role]party{chain.RoleOwner: w.owner, chain.RoleWriter: w.writer} {
			d := draft()
			next, err := d.Change(opened, spend.Change{By: by, Key: p.key,
				Metadata: &chain.Metadata{Root: root(1)}})
			if err != nil {
				t.Fatalf("%s, update by the %v: %v", step, by, err)
			}
			p := plan(t, d)
			alone, err := chain.FromSpend(t.Context(), s.ID(), &p.Spends[0])
			if err != nil || alone.Coin != next.Coin || alone.Root() != root(1) {
				t.Errorf("%s, update by the %v: %+v, %v; want %+v", step, by, alone, err, next)
			}
		}
	}
	check("the first coin")
	s.Update(root(2))
	check("after an update by the owner")
	s.UpdateBy(&writer, chain.Metadata{Root: root(3), Bytes: ptr(uint64(9))})
	check("after an update by the writer")
	s.Delegate(nil, writer, chaintest.Admin(chaintest.Standard(w.admin.key)))
	check("after new delegates")

	// A writer leaves metadata with an unknown item, and one in a wrong form.
	list := clvm.List(clvm.Atom(make([]byte, 32)), clvm.Pair(clvm.Text("new"), clvm.Int(1)),
		clvm.Pair(clvm.Text("l"), clvm.List(clvm.Int(1))), clvm.Int(5))
	updater := clvm.Int(11).TreeHash()
	update := clvm.List(clvm.Int(-24), clvm.Int(11),
		clvm.List(clvm.List(list, clvm.Atom(updater[:])), clvm.Nil()))
	text, err := clvm.Append(nil, update, nil)
	if err != nil {
		t.Fatal(err)
	}
	state, _ := lastSpend(t, c, s)
	sp := s.Solve(&writer, chaintest.Serialized(text))
	next, err := state.Next(t.Context(), sp)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := spend.Open(t.Context(), next, sp)
	if err != nil {
		t.Fatal(err)
	}
	d := draft()
	kept, err := d.Change(opened, spend.Change{By: chain.RoleOwner, Key: w.owner.key,
		Ownership: &spend.Ownership{Owner: w.owner.hash, Delegates: opened.Delegates[:1]}})
	if err != nil {
		t.Fatal(err)
	}
	// The metadata stays as it was, then it is replaced.
	if _, err := d.Change(kept, spend.Change{By: chain.RoleOwner, Key: w.owner.key,
		Metadata: &chain.Metadata{Root: root(4)}}); err != nil {
		t.Fatal(err)
	}
	plan(t, d)
}

// TestOpenRefused: a spend that did not make the coin, or a state without the writers, is an error.
func TestOpenRefused(t *testing.T) {
	w := newWorld(t)
	c := chaintest.New(nil)
	s := c.Mint(chain.Metadata{}, chaintest.Standard(w.owner.key))
	_, launch := lastSpend(t, c, s)
	s.Update(root(1))
	state, sp := lastSpend(t, c, s)
	unknown, other := *state, *state
	unknown.DelegatesKnown = false
	other.Owner = w.other.hash
	other.Inner = w.other.hash
	for name, c := range map[string]struct {
		state *chain.State
		spend *chain.CoinSpend
		want  error
	}{
		"the spend before":  {state, launch, spend.ErrStore},
		"unknown delegates": {&unknown, sp, chain.ErrWritersUnknown},
		"another owner":     {&other, sp, spend.ErrStore},
	} {
		if _, err := spend.Open(t.Context(), c.state, c.spend); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
