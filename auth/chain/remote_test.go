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

// The interfaces of package remote for the chain.
var (
	_ remote.Anchor  = (*chain.Resolver)(nil)
	_ remote.Lineage = (*chain.Resolver)(nil)
	_ remote.Anchor  = chain.Pinned(nil)
)

// TestRemote clones and pulls one store: the installed root is the chain's, a new publisher key
// is accepted if the chain confirms the root that it signed, and any other root is refused.
func TestRemote(t *testing.T) {
	first, second := auth.NewKey([auth.SeedSize]byte{1}), auth.NewKey([auth.SeedSize]byte{2})
	blocks := newChain(t)
	onChain := blocks.Mint(chain.Metadata{}, chaintest.Standard(first.PublicKey()))
	there := remotetest.NewMemory(onChain.ID(), nil)
	origin := remotetest.NewOrigin(server.New(remotetest.NewStores(nil, there), nil))
	defer origin.Close()
	client, err := origin.Client(onChain.ID(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	publish := func(by *auth.Key, text string) merkle.Hash {
		t.Helper()
		head, err := there.Publish(t.Context(), by, fstest.MapFS{"a": {Data: []byte(text)}})
		if err != nil {
			t.Fatal(err)
		}
		return head.Root
	}
	trust := remote.Trust{Anchor: chain.NewResolver(blocks, fresh())}
	here := remotetest.NewMemory(onChain.ID(), nil)

	one := publish(first, "one")
	if _, err := remote.Clone(t.Context(), here, client, trust); !errors.Is(err,
		remote.ErrVerification) {
		t.Errorf("a store without a root on the chain: %v, want ErrVerification", err)
	}
	onChain.Update(one)
	report, err := remote.Clone(t.Context(), here, client, trust)
	if err != nil || report.Root != one || report.Basis != remote.ByAnchor || report.Unanchored {
		t.Fatalf("clone: %+v, %v", report, err)
	}
	two := publish(first, "two")
	if report, err = remote.Pull(t.Context(), here, client, trust); err != nil || report.Root != one ||
		report.NewerHead != two {
		t.Errorf("the origin is ahead of the chain: %+v, %v, want root %v", report, err, one)
	}
	onChain.Update(two)
	if report, err = remote.Pull(t.Context(), here, client, trust); err != nil || report.Root != two {
		t.Errorf("pull: %+v, %v, want root %v", report, err, two)
	}

	// The store is transferred, and the new owner publishes with its own key.
	onChain.Transfer(chaintest.Standard(second.PublicKey()))
	three := publish(second, "three")
	if _, err = remote.Pull(t.Context(), here, client, remote.Trust{}); !errors.Is(err,
		remote.ErrVerification) {
		t.Errorf("another key, without the chain: %v, want ErrVerification", err)
	}
	onChain.Update(three)
	if report, err = remote.Pull(t.Context(), here, client, trust); err != nil ||
		report.Root != three || !report.KeyChanged || report.Publisher != second.PublicKey() {
		t.Errorf("another key: %+v, %v, want root %v", report, err, three)
	}
	// If the chain is unavailable nothing is installed.
	onChain.Update(publish(second, "four"))
	down := remote.Trust{Anchor: chain.NewResolver(&broken{blocks, chain.ErrUnavailable}, fresh())}
	if _, err = remote.Pull(t.Context(), here, client, down); !errors.Is(err,
		remote.ErrVerification) || !errors.Is(err, chain.ErrUnavailable) {
		t.Errorf("a chain that cannot be asked: %v", err)
	}
	if head, err := here.Head(t.Context()); err != nil || head.Root != three {
		t.Errorf("the local head is %v, %v, want %v", head.Root, err, three)
	}
}
