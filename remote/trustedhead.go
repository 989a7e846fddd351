package remote

import (
	"context"
	"fmt"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// A TrustedHead is the generation of a store that is to be read at an origin without a clone.
type TrustedHead struct {
	Root       merkle.Hash
	Publisher  auth.PublicKey // the key that signed Root; zero when Root was prescribed
	Basis      Basis          // why Root is believed
	KeyProven  bool           // the store's id is the hash of Publisher
	Unanchored bool           // the origin named Root: there may be a newer one that it does not show
}

// ResolveHead decides which generation to read at an origin: the root that t prescribes, by its
// Anchor or its Root; else the origin's head, when it is signed by a key that t speaks for. Either
// is refused when it is revoked by such a key. The error is a [*VerificationError] for what is not
// to be believed. Nothing is remembered: a key that is believed on first use is believed for this
// call.
func (t *Trust) ResolveHead(ctx context.Context, s auth.StoreID, from Origin) (*TrustedHead,
	error) {
	if t.isZero() {
		return nil, &VerificationError{Check: CheckTrust, Err: ErrUntrusted}
	}
	want, err := t.requiredRoot(ctx, s)
	if err != nil {
		return nil, err
	}
	j := keyFacts{store: s, signed: true}
	if t.Known != nil {
		if j.known, _, err = t.Known.Known(ctx, s); err != nil {
			return nil, fmt.Errorf("remote: read known stores: %w", err)
		}
	}
	d, err := from.Describe(ctx)
	if err != nil {
		return nil, fmt.Errorf("remote: describe store %s: %w", s, err)
	}
	b := &TrustedHead{Root: d.Root, Unanchored: want.IsZero()}
	if !want.IsZero() {
		b.Root, b.Basis = want, ByRoot
		if t.Anchor != nil {
			b.Basis = ByAnchor
		}
		// The key is the origin's word, and matters here for tombstones only.
		if basis, _, err := t.checkKey(j, d.PublicKey, ignorePassed); err != nil || basis == ByFirstUse {
			return b, nil
		}
	} else {
		signed, err := d.SignedRoot(s, d.PublicKey)
		if err != nil {
			return nil, &VerificationError{Check: CheckSignature, Err: err}
		}
		if b.Basis, _, err = t.checkKey(j, signed.PublicKey, ignorePassed); err != nil {
			return nil, err
		}
		b.Publisher, b.KeyProven = signed.PublicKey, auth.StoreIDFromKey(signed.PublicKey) == s
	}
	tombstones := newTombstoneSet(s, nil)
	if _, err := tombstones.add(ctx, d.Tombstones, d.PublicKey, b.Root); err != nil {
		return nil, err
	}
	if err := tombstones.revoked(b.Root); err != nil {
		return nil, err
	}
	return b, nil
}
