package remote

import (
	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// A Descriptor is what an origin says of a store: GET /stores/{id} (remote/PROTOCOL.md 5.1).
// Nothing in it is to be believed before a module has been verified.
type Descriptor struct {
	Root      merkle.Hash    // the head; never a pending root
	Size      int64          // bytes of the head's module
	PublicKey auth.PublicKey // the key the server checks pushes with; a hint. Zero: not said
	PushSig   auth.Signature // signature of the head, the tagged form when that is known. Zero: none
	Untagged  auth.Signature // the untagged form, when it is known besides. Zero: not said
	// Tombstones are the entries that decode; their signatures are unchecked. Others are left out.
	Tombstones []auth.Tombstone
}

// MarshalJSON writes the members in the order of remote/PROTOCOL.md 5.1.
func (d *Descriptor) MarshalJSON() ([]byte, error) { return (*wire.Descriptor)(d).MarshalJSON() }

// UnmarshalJSON reads a descriptor. Members it does not know are ignored, missing tombstones are
// none, and tombstones that do not decode are left out. A malformed root, key or signature, a
// negative size or an all-zero root is an error.
func (d *Descriptor) UnmarshalJSON(text []byte) error {
	return (*wire.Descriptor)(d).UnmarshalJSON(text)
}

// SignedRoot returns the head with those of the descriptor's signatures that verify under key, in
// the forms in which they do: push_sig may carry either (remote/PROTOCOL.md 6.1). The error matches
// [auth.ErrUnsigned] when the origin serves none, else [auth.ErrSignature] or [auth.ErrPublicKey].
func (d *Descriptor) SignedRoot(s auth.StoreID, key auth.PublicKey) (auth.SignedRoot, error) {
	return auth.AcceptRoot(s, d.Root, key, d.PushSig, d.Untagged)
}
