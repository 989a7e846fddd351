package chain_test

import (
	"errors"
	"testing"
	"testing/fstest"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/auth/chain/chaintest"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
	"github.com/dig-network/digstore/remote/remotetest"
	"github.com/dig-network/digstore/remote/server"
)

// A deployment is a store on the chain, a server with an authority on the chain, and a client.
type deployment struct {
	t        *testing.T
	chain    *chaintest.Chain
	store    *chaintest.Store
	resolver *chain.Resolver
	stores   *remotetest.Stores
	client   *remote.Client
}

func newDeployment(t *testing.T, owner *auth.Key,
	authority func(*chain.Resolver) server.Authority) *deployment {
	t.Helper()
	v := &deployment{t: t, chain: newChain(t), stores: remotetest.NewStores(nil)}
	v.store = v.chain.Mint(chain.Metadata{}, chaintest.Standard(owner.PublicKey()))
	v.settle()
	v.resolver = chain.NewResolver(v.chain, fresh())
	origin := remotetest.NewOrigin(server.New(v.stores,
		&server.Options{Policy: server.TrustOnFirstUse{}, Authority: authority(v.resolver)}))
	t.Cleanup(func() { origin.Close() })
	var err error
	if v.client, err = origin.Client(v.store.ID(), &remote.ClientOptions{Attempts: 1}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.client.Close() })
	return v
}

// settle adds blocks until all spends are settled.
func (v *deployment) settle() { v.chain.Farm(32) }

// clone makes a clone with the chain as the anchor.
func (v *deployment) clone() *remotetest.Memory {
	v.t.Helper()
	m := remotetest.NewMemory(v.store.ID(), nil)
	if _, err := remote.Clone(v.t.Context(), m, v.client,
		remote.Trust{Anchor: v.resolver}); err != nil {
		v.t.Fatalf("clone: %v", err)
	}
	return m
}

// commit makes the next generation of a store, signed by a key.
func (v *deployment) commit(at *remotetest.Memory, by *auth.Key, text string) merkle.Hash {
	v.t.Helper()
	head, err := at.Publish(v.t.Context(), by, fstest.MapFS{"index.html": {Data: []byte(text)}})
	if err != nil {
		v.t.Fatal(err)
	}
	return head.Root
}

// push pushes and checks the result: accepted, pending, or an error.
func (v *deployment) push(what string, from *remotetest.Memory, pending bool, wantErr error) {
	v.t.Helper()
	report, err := remote.Push(v.t.Context(), v.client, from)
	if !errors.Is(err, wantErr) || err == nil && report.Pending != pending {
		v.t.Errorf("%s: %+v, %v; want pending %v, error %v", what, report, err, pending, wantErr)
	}
}

// pull pulls into an old clone and checks that it has the root that is on the chain.
func (v *deployment) pull(what string, to *remotetest.Memory, want merkle.Hash) {
	v.t.Helper()
	report, err := remote.Pull(v.t.Context(), to, v.client, remote.Trust{Anchor: v.resolver})
	if err != nil || report.Root != want || report.Basis != remote.ByAnchor && !report.UpToDate {
		v.t.Errorf("%s: %+v, %v; want root %v by the anchor", what, report, err, want)
	}
}

func keys(n int) []*auth.Key {
	list := make([]*auth.Key, n)
	for i := range list {
		list[i] = auth.NewKey([auth.SeedSize]byte{0x70, byte(i)})
	}
	return list
}

// TestChangingHands: a store is transferred. Old clones can pull, the new owner's key is
// accepted, and the former key is refused once the transfer is settled.
func TestChangingHands(t *testing.T) {
	k := keys(2)
	former, heir := k[0], k[1]
	v := newDeployment(t, former, func(r *chain.Resolver) server.Authority {
		return chain.OnChainKey{Resolver: r}
	})

	theirs := remotetest.NewMemory(v.store.ID(), nil) // the former owner's copy
	one := v.commit(theirs, former, "one")
	v.push("the owner's first push", theirs, false, nil)
	v.store.Update(one)
	old := v.clone()

	v.store.Transfer(chaintest.Standard(heir.PublicKey()))
	mine := v.clone() // the heir's
	two := v.commit(mine, heir, "two")
	v.push("the heir, one block after the transfer", mine, true, nil)
	v.pull("nothing is served that is not settled", old, one)
	v.chain.Farm(30)
	v.push("the heir, 31 blocks deep", mine, true, nil)
	v.chain.Farm(1)
	v.push("the heir, 32 blocks deep", mine, false, nil)
	v.store.Update(two)
	v.pull("an old clone, and another key", old, two)
	if head, err := old.Head(t.Context()); err != nil || head.PublicKey != heir.PublicKey() {
		t.Errorf("the old clone's head %+v, %v; want the heir's key", head, err)
	}

	v.pull("the former owner's copy", theirs, two)
	v.commit(theirs, former, "mine again")
	v.push("the former owner", theirs, false, auth.ErrForbidden)

	// A client refuses a server with a generation that the former owner signed.
	rogue := remotetest.NewOrigin(server.New(remotetest.NewStores(nil, theirs), nil))
	defer rogue.Close()
	client, err := rogue.Client(v.store.ID(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	report, err := remote.Pull(t.Context(), old, client, remote.Trust{Anchor: v.resolver})
	if err == nil && report.Root != two {
		t.Errorf("pulled from the former owner: %+v, want root %v or a refusal", report, two)
	}
	if head, err := old.Head(t.Context()); err != nil || head.Root != two {
		t.Errorf("after a pull from the former owner: head %+v, %v, want root %v", head, err, two)
	}
	if report, err := remote.Clone(t.Context(), remotetest.NewMemory(v.store.ID(), nil), client,
		remote.Trust{Anchor: v.resolver}); err == nil && report.Root != two {
		t.Errorf("cloned from the former owner: %+v, want root %v or a refusal", report, two)
	}
}

// TestFormerKeyUntilSettled: the former owner's key is accepted until the transfer is settled.
func TestFormerKeyUntilSettled(t *testing.T) {
	k := keys(2)
	v := newDeployment(t, k[0], func(r *chain.Resolver) server.Authority {
		return chain.OnChainKey{Resolver: r}
	})
	copied := remotetest.NewMemory(v.store.ID(), nil)
	v.commit(copied, k[0], "zero")
	v.push("first", copied, false, nil)
	v.store.Transfer(chaintest.Standard(k[1].PublicKey()))
	v.commit(copied, k[0], "one block after the transfer")
	v.push("one block after the transfer", copied, false, nil)
	v.chain.Farm(30)
	v.commit(copied, k[0], "31 blocks deep")
	v.push("31 blocks deep", copied, false, nil)
	v.chain.Farm(1)
	v.commit(copied, k[0], "32 blocks deep")
	v.push("32 blocks deep", copied, false, auth.ErrForbidden)
}

// TestWriters: a writer is added and removed. The writer's key may sign, old clones can pull,
// and afterwards the owner's key may sign.
func TestWriters(t *testing.T) {
	k := keys(2)
	owner, deploy := k[0], k[1]
	v := newDeployment(t, owner, func(r *chain.Resolver) server.Authority {
		return chain.OnChainKey{Resolver: r}
	})
	writer := chaintest.Writer(chaintest.Standard(deploy.PublicKey()))

	origin := remotetest.NewMemory(v.store.ID(), nil)
	one := v.commit(origin, owner, "one")
	v.push("the owner", origin, false, nil)
	v.store.Update(one)
	old := v.clone()

	ci := v.clone()
	two := v.commit(ci, deploy, "two")
	v.push("nobody yet", ci, false, auth.ErrForbidden)
	v.store.Delegate(nil, writer)
	v.push("a writer of one block", ci, true, nil)
	v.settle()
	v.push("a settled writer", ci, false, nil)
	v.store.UpdateBy(&writer, chain.Metadata{Root: two})
	v.pull("an old clone, what the writer signed", old, two)

	v.pull("the owner's copy", origin, two)
	three := v.commit(origin, owner, "three")
	v.push("the owner after the writer", origin, false, nil)
	v.store.Update(three)
	v.pull("an old clone, what the owner signed", old, three)

	v.store.Delegate(nil)
	v.settle()
	v.pull("the writer's copy", ci, three)
	v.commit(ci, deploy, "four")
	v.push("a writer no more", ci, false, auth.ErrForbidden)
	v.pull("an old clone, at the end", old, three)
}

// TestTipRoot: with TipRoot anyone may push the root on the chain, and no other root is accepted.
func TestTipRoot(t *testing.T) {
	k := keys(2)
	v := newDeployment(t, k[0], func(r *chain.Resolver) server.Authority {
		return chain.TipRoot{Resolver: r}
	})
	local := remotetest.NewMemory(v.store.ID(), nil)
	one := v.commit(local, k[0], "one")
	v.push("not on the chain", local, false, auth.ErrForbidden)
	v.store.Update(one)
	v.push("on the chain since a block", local, true, nil)
	v.settle()
	v.push("settled", local, false, nil)
	two := v.commit(local, k[1], "two") // a key that no puzzle names
	v.push("another root", local, false, auth.ErrForbidden)
	v.store.Update(two)
	v.settle()
	v.push("another key with the root of the chain", local, false, nil)
	if head, err := v.clone().Head(t.Context()); err != nil || head.Root != two ||
		head.PublicKey != k[1].PublicKey() {
		t.Errorf("cloned %+v, %v", head, err)
	}
}
