package remote

import (
	"context"
	"fmt"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// A TrustedHead is the generation of a store to read at an origin without a clone.
type TrustedHead struct {
	Root       merkle.Hash
	Publisher  auth.PublicKey // the key that signed Root; zero if an anchor or Trust.Root gave Root
	Basis      Basis          // why Root is trusted
	KeyProven  bool           // the store's id is the hash of Publisher
	Unanchored bool           // the origin gave Root; it may withhold a newer one
}

// ResolveHead decides which generation to read at an origin: the root of t's Anchor or t.Root, else
// the origin's head if a key that t accepts signed it. A failed check is a [*VerificationError], as
// is a revocation by an accepted key. ResolveHead stores nothing: a key accepted on first use is
// accepted for this call only.
func (t *Trust) ResolveHead(ctx context.Context, s auth.StoreID, from Origin) (*TrustedHead,
	error) {
	if t.isZero() {
		return nil, &VerificationError{Check: CheckTrust, Err: ErrUntrusted}
	}
	want, err := t.requiredRoot(ctx, s)
	if err != nil {
		return nil, err
	}
	facts := keyFacts{store: s, signed: true}
	if t.Known != nil {
		if facts.known, _, err = t.Known.Known(ctx, s); err != nil {
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
		// The key is unverified, and used only to check tombstones.
		basis, _, err := t.checkKey(facts, d.PublicKey, ignorePassed)
		if err != nil || basis == ByFirstUse {
			return b, nil
		}
	} else {
		signed, err := d.SignedRoot(s, d.PublicKey)
		if err != nil {
			return nil, &VerificationError{Check: CheckSignature, Err: err}
		}
		if b.Basis, _, err = t.checkKey(facts, signed.PublicKey, ignorePassed); err != nil {
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
