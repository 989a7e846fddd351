package remote_test

import (
	"errors"
	"testing"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote"
)

// ResolveHead accepts the same Trust as a clone.
func TestBelieve(t *testing.T) {
	other, _ := store(t, auth.StoreID{1}, 2) // its ID is not the hash of the key
	proven, by := store(t, auth.StoreID{}, 2)
	revoked, _ := store(t, auth.StoreID{1}, 2)
	for _, root := range []merkle.Hash{revoked.line(t, 0).Root, revoked.line(t, 1).Root} {
		stone, err := auth.SignTombstone(t.Context(),
			auth.Tombstone{Store: revoked.ID(), Root: root, NotAfter: 1}, by)
		if err != nil {
			t.Fatal(err)
		}
		if err := revoked.Revoke(t.Context(), stone); err != nil {
			t.Fatal(err)
		}
	}
	unsigned, _ := store(t, auth.StoreID{1}, 1)
	unsigned.describe = func(d *remote.Descriptor) {
		d.PushSig, d.Untagged = auth.Signature{}, auth.Signature{}
	}
	head, first, pub := other.line(t, 1).Root, other.line(t, 0).Root, by.PublicKey()
	for _, c := range []struct {
		name  string
		trust remote.Trust
		from  *direct
		want  remote.TrustedHead
		err   error
	}{
		{name: "no reason", from: other, err: remote.ErrUntrusted},
		{name: "first use", from: other, trust: remote.Trust{FirstUse: true},
			want: remote.TrustedHead{Root: head, Publisher: pub, Basis: remote.ByFirstUse, Unanchored: true}},
		{name: "known", from: other, trust: remote.Trust{FirstUse: true, Known: knownStores{other.ID(): pub}},
			want: remote.TrustedHead{Root: head, Publisher: pub, Basis: remote.ByKnown, Unanchored: true}},
		{name: "known by another key", from: other, trust: remote.Trust{FirstUse: true, Known: knownStores{other.ID(): key(9).PublicKey()}},
			err: remote.ErrKeyChanged},
		{name: "publisher", from: other, trust: remote.Trust{Publisher: pub},
			want: remote.TrustedHead{Root: head, Publisher: pub, Basis: remote.ByPublisher, Unanchored: true}},
		{name: "another publisher", from: other, trust: remote.Trust{Publisher: key(9).PublicKey()}, err: remote.ErrKeyChanged},
		{name: "the id proves the key", from: proven, trust: remote.Trust{KeyHashID: true},
			want: remote.TrustedHead{Root: proven.line(t, 1).Root, Publisher: pub, Basis: remote.ByKeyHash, KeyProven: true, Unanchored: true}},
		{name: "the id proves nothing", from: other, trust: remote.Trust{KeyHashID: true}, err: remote.ErrUntrusted},
		{name: "not signed", from: unsigned, trust: remote.Trust{FirstUse: true}, err: remote.ErrVerification},
		{name: "a root", from: other, trust: remote.Trust{Root: first}, want: remote.TrustedHead{Root: first, Basis: remote.ByRoot}},
		{name: "an anchor", from: other, trust: remote.Trust{Anchor: plain{first}}, want: remote.TrustedHead{Root: first, Basis: remote.ByAnchor}},
		{name: "an anchor that fails", from: other, trust: remote.Trust{Anchor: &anchor{err: errBroken}}, err: errBroken},
		{name: "revoked", from: revoked, trust: remote.Trust{FirstUse: true}, err: auth.ErrRevoked},
		{name: "a root that its publisher revoked", from: revoked, trust: remote.Trust{Root: revoked.line(t, 0).Root, Publisher: pub}, err: auth.ErrRevoked},
		{name: "a root that somebody revoked", from: revoked, trust: remote.Trust{Root: revoked.line(t, 0).Root},
			want: remote.TrustedHead{Root: revoked.line(t, 0).Root, Basis: remote.ByRoot}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.trust.ResolveHead(t.Context(), c.from.ID(), c.from)
			if !errors.Is(err, c.err) || (c.err == nil) != (err == nil) {
				t.Fatalf("%v, want %v", err, c.err)
			}
			if err == nil && *got != c.want {
				t.Errorf("%+v, want %+v", *got, c.want)
			}
		})
	}
}
