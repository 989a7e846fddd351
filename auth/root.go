package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/dig-network/digstore/merkle"
)

// pushTag is the domain tag of the tagged form of a push signature (remote/PROTOCOL.md 1.3).
const pushTag = "digstore:push:v1"

// ErrUnsigned is wrapped by errors about a root without any known signature.
var ErrUnsigned = errors.New("root carries no signature")

// SignedRoot is the publisher's statement that Root is a generation of Store. The signature has two
// forms. Tagged signs SHA-256("digstore:push:v1" || root || store id), as the reference
// implementation does. Untagged signs SHA-256(root || store id), the original form. A form that is
// not known is zero.
//
// The signature does not say when it was made, and an old root stays validly signed. Package remote
// checks that a root is current.
type SignedRoot struct {
	Store     StoreID
	Root      merkle.Hash
	PublicKey PublicKey
	Tagged    Signature
	Untagged  Signature
}

// A PushForm names one of the two forms of a push signature.
type PushForm string

// The forms.
const (
	FormUntagged PushForm = "untagged" // over SHA-256(root || store id)
	FormTagged   PushForm = "tagged"   // over SHA-256("digstore:push:v1" || root || store id)
)

// Other returns FormTagged for FormUntagged, and FormUntagged for any other form.
func (f PushForm) Other() PushForm {
	if f == FormUntagged {
		return FormTagged
	}
	return FormUntagged
}

// Signature returns the signature in one form, zero if it is not known.
func (r SignedRoot) Signature(form PushForm) Signature {
	if form == FormTagged {
		return r.Tagged
	}
	return r.Untagged
}

// SignRoot signs both forms. It returns the signer's error.
func SignRoot(ctx context.Context, s StoreID, root merkle.Hash, by Signer) (SignedRoot, error) {
	r := SignedRoot{Store: s, Root: root, PublicKey: by.PublicKey()}
	for _, form := range []struct {
		msg [32]byte
		sig *Signature
	}{{r.taggedMessage(), &r.Tagged}, {r.untaggedMessage(), &r.Untagged}} {
		sig, err := by.Sign(ctx, form.msg[:])
		if err != nil {
			return SignedRoot{}, fmt.Errorf("sign root %v of store %v: %w", root, s, err)
		}
		*form.sig = sig
	}
	return r, nil
}

// AcceptRoot makes a SignedRoot of received signatures whose form is not known. It tries each as
// either form, keeps those that verify, and drops the others. If none verifies, the error wraps
// ErrUnsigned if all were zero, and otherwise ErrSignature or ErrPublicKey.
func AcceptRoot(s StoreID, root merkle.Hash, pub PublicKey, sigs ...Signature) (SignedRoot, error) {
	r := SignedRoot{Store: s, Root: root, PublicKey: pub}
	v, err := NewVerifier(pub)
	if err != nil {
		return SignedRoot{}, r.failed(err)
	}
	err = ErrUnsigned
	tagged, untagged := r.taggedMessage(), r.untaggedMessage()
	for _, sig := range sigs {
		switch {
		case sig.IsZero() || sig == r.Tagged || sig == r.Untagged:
		case v.Verify(tagged[:], sig) == nil:
			r.Tagged = sig
		case v.Verify(untagged[:], sig) == nil:
			r.Untagged = sig
		default:
			err = ErrSignature
		}
	}
	if r.Tagged.IsZero() && r.Untagged.IsZero() {
		return SignedRoot{}, r.failed(err)
	}
	return r, nil
}

// Check verifies every known form with r.PublicKey and requires at least one. Errors wrap
// ErrUnsigned, ErrPublicKey or ErrSignature and name the form that failed. Check does not know
// whether r.PublicKey is the publisher's key.
func (r SignedRoot) Check() error {
	if r.Tagged.IsZero() && r.Untagged.IsZero() {
		return r.failed(ErrUnsigned)
	}
	v, err := NewVerifier(r.PublicKey)
	if err != nil {
		return r.failed(err)
	}
	if msg := r.taggedMessage(); !r.Tagged.IsZero() {
		if err := v.Verify(msg[:], r.Tagged); err != nil {
			return r.failed(fmt.Errorf("tagged form: %w", err))
		}
	}
	if msg := r.untaggedMessage(); !r.Untagged.IsZero() {
		if err := v.Verify(msg[:], r.Untagged); err != nil {
			return r.failed(fmt.Errorf("untagged form: %w", err))
		}
	}
	return nil
}

func (r SignedRoot) failed(err error) error {
	return fmt.Errorf("root %v of store %v: %w", r.Root, r.Store, err)
}

func (r SignedRoot) taggedMessage() [32]byte {
	b := make([]byte, 0, len(pushTag)+64)
	b = append(b, pushTag...)
	b = append(b, r.Root[:]...)
	return sha256.Sum256(append(b, r.Store[:]...))
}

func (r SignedRoot) untaggedMessage() [32]byte {
	b := make([]byte, 0, 64)
	b = append(b, r.Root[:]...)
	return sha256.Sum256(append(b, r.Store[:]...))
}
