package remote

import (
	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// A Descriptor is an origin's description of a store: GET /stores/{id} (remote/PROTOCOL.md 5.1). It
// is unverified until a module has been verified.
type Descriptor struct {
	Root      merkle.Hash    // the head; never a pending root
	Size      int64          // bytes of the head's module
	PublicKey auth.PublicKey // the key the server checks pushes with; a hint. Zero: absent
	PushSig   auth.Signature // signature of the head, the tagged form if known. Zero: absent
	Untagged  auth.Signature // the untagged form, if also known. Zero: absent
	// Tombstones are the entries that decode. Their signatures are unchecked.
	Tombstones []auth.Tombstone
}

// MarshalJSON writes the members in the order of remote/PROTOCOL.md 5.1.
func (d *Descriptor) MarshalJSON() ([]byte, error) { return (*wire.Descriptor)(d).MarshalJSON() }

// UnmarshalJSON decodes a descriptor. It ignores unknown members and tombstones that do not decode.
// A malformed root, key or signature, a negative size or an all-zero root is an error.
func (d *Descriptor) UnmarshalJSON(text []byte) error {
	return (*wire.Descriptor)(d).UnmarshalJSON(text)
}

// SignedRoot returns the head with the descriptor's signatures that verify under key, each in the
// form that verifies: push_sig may carry either (remote/PROTOCOL.md 6.1). The error matches
// [auth.ErrUnsigned] when the origin serves no signature, else [auth.ErrSignature] or
// [auth.ErrPublicKey].
func (d *Descriptor) SignedRoot(s auth.StoreID, key auth.PublicKey) (auth.SignedRoot, error) {
	return auth.AcceptRoot(s, d.Root, key, d.PushSig, d.Untagged)
}
