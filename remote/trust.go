package remote

import (
	"context"
	"fmt"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// A Trust is the answer to: why believe this origin? The zero value believes nothing, and [Clone]
// refuses. What a module's root covers is checked always; Trust is about the rest, since key and
// history lie outside the root and a store's id is in general not bound to its key
// (remote/PROTOCOL.md 9.4).
type Trust struct {
	// Anchor is asked first, and its answer is the root that is installed. An anchor that fails is a
	// refusal. A head that carries no signature is believed when the Anchor, or Root, confirms it, and
	// not otherwise; then no key is held from it, and one that is held must be the module's. One that
	// is a [Lineage] too also vouches for older generations.
	Anchor Anchor
	// Root is a root known by other means; it stands for an Anchor that says so.
	Root merkle.Hash
	// Publisher is a key known by other means. A module with another key is refused.
	Publisher auth.PublicKey
	// KeyHashID believes a key whose SHA-256 is the store's id, as with stores that init makes.
	// Other ids it does not help.
	KeyHashID bool
	// FirstUse believes the first key seen for this store.
	FirstUse bool
	// Known remembers the key of every store that was believed; nil: nothing does. A store that it
	// knows by another key is refused, unless Publisher or AcceptKey names the new one or an Anchor
	// confirms it.
	Known KnownKeys
	// AcceptKey is a publisher key to take in place of the one that is held, once. An Anchor
	// that confirms the root which the new key signed does the same.
	AcceptKey auth.PublicKey
	// AcceptHead is a head to take although its history does not contain the local one, once: the way
	// past a history that has diverged, for who knows why it did. It must be signed by the key that is
	// believed, as any other; what is held stays, and stands before it in the local history. A head
	// that was held before is taken again with AcceptRevert only.
	AcceptHead merkle.Hash
	// AcceptRevert takes a head that the local history has before its own head: the publisher went
	// back to it. Without it only an Anchor, or Root, lets such a head through, since an origin could
	// go back with the old signature.
	AcceptRevert bool
	// AllowUnsignedHistory takes older generations that nobody but the origin vouches for. They must
	// carry the publisher's key still.
	AllowUnsignedHistory bool
}

// A Basis is what made a publisher key believed.
type Basis string

// The bases, the strongest first.
const (
	ByAnchor    Basis = "anchor"       // the anchor confirmed the root that it signed
	ByRoot      Basis = "root"         // so did the root that was given
	ByPublisher Basis = "publisher"    // it is the key that was given
	ByAcceptKey Basis = "accepted key" // it is the key that was given to follow the one held
	ByPin       Basis = "pin"          // it is the key held for this store since before
	ByKeyHash   Basis = "key hash"     // its hash is the store's id
	ByKnown     Basis = "known store"  // it is the key of an earlier first use
	ByFirstUse  Basis = "first use"    // nothing but that it was the first to be seen
)

// isZero reports whether nothing in t speaks for any origin.
func (t *Trust) isZero() bool {
	return t.Anchor == nil && t.Root.IsZero() && t.Publisher.IsZero() && !t.KeyHashID && !t.FirstUse &&
		t.AcceptKey.IsZero()
}

// requiredRoot asks the anchor, before anything is believed. The zero hash means that nothing
// prescribes a root.
func (t *Trust) requiredRoot(ctx context.Context, s auth.StoreID) (merkle.Hash, error) {
	if t.Anchor == nil {
		return t.Root, nil
	}
	root, err := t.Anchor.CurrentRoot(ctx, s)
	if err != nil {
		return root, &VerificationError{Check: CheckAnchor, Err: fmt.Errorf("ask the anchor: %w", err)}
	}
	if root.IsZero() {
		return root, &VerificationError{Check: CheckAnchor, Got: "the anchor knows no root of this store"}
	}
	if !t.Root.IsZero() && t.Root != root {
		return root, &VerificationError{Check: CheckAnchor, Want: t.Root.String(), Got: root.String()}
	}
	return root, nil
}

// lineage returns the roots of the anchor's lineage with their latest place, nil without one.
func (t *Trust) lineage(ctx context.Context, s auth.StoreID) (map[merkle.Hash]int, error) {
	l, ok := t.Anchor.(Lineage)
	if !ok {
		return nil, nil
	}
	roots, err := l.Lineage(ctx, s)
	if err != nil {
		return nil, &VerificationError{Check: CheckLineage,
			Err: fmt.Errorf("ask for the lineage: %w", err)}
	}
	place := make(map[merkle.Hash]int, len(roots))
	for i, root := range roots {
		place[root] = i
	}
	return place, nil
}

// A keyFacts is what is known when a publisher key is to be believed or not.
type keyFacts struct {
	store    auth.StoreID
	held     auth.PublicKey // pinned; zero: none
	known    auth.PublicKey // of an earlier first use; zero: none
	anchored bool           // the anchor, or the root given, confirmed the root
	signed   bool           // the key signed that root
}

// checkKey decides on the key of a module. changed says that it takes the place of another one.
func (t *Trust) checkKey(j keyFacts, key auth.PublicKey,
	passed passedFunc) (basis Basis, changed bool, err error) {
	if changed, err = t.checkPublisher(j, key, passed); err != nil {
		return "", false, err
	}
	basis, err = t.basis(j, key, passed)
	return basis, changed, err
}

// checkPublisher holds the key of a module against the keys that are given or known. changed says
// that it takes the place of another one.
func (t *Trust) checkPublisher(j keyFacts, key auth.PublicKey,
	passed passedFunc) (changed bool, err error) {
	if !t.Publisher.IsZero() && key != t.Publisher {
		return false, &VerificationError{Check: CheckPublisher, Want: t.Publisher.String(),
			Got: key.String(), Err: ErrKeyChanged}
	}
	before, named := j.held, false
	if before.IsZero() { // an earlier first use binds, unless the caller names the key
		before, named = j.known, !t.Publisher.IsZero()
	}
	changed = !before.IsZero() && key != before
	if changed && !named && !(j.signed && (t.accepts(key) || t.byAnchor(j))) {
		return false, &VerificationError{Check: CheckPublisher, Want: before.String(), Got: key.String(),
			Err: fmt.Errorf(
				"%w: without an anchor that confirms it, only naming the new key lets it through",
				ErrKeyChanged)}
	}
	switch {
	case !t.Publisher.IsZero():
		passed(CheckPublisher, "the key given, "+t.Publisher.String())
	case !j.held.IsZero():
		passed(CheckPublisher, "the key held, "+j.held.String())
	case !j.known.IsZero():
		passed(CheckPublisher, "the key of an earlier first use, "+j.known.String())
	default:
		passed(CheckPublisher, "nothing: none was held")
	}
	return changed, nil
}

// basis is why the key of a module, which checkPublisher let pass, is believed.
func (t *Trust) basis(j keyFacts, key auth.PublicKey, passed passedFunc) (Basis, error) {
	basis := t.firstBasis(j, key)
	if basis == "" {
		return "", &VerificationError{Check: CheckTrust,
			Got: "publisher " + key.String(), Err: ErrUntrusted}
	}
	passed(CheckTrust, string(basis))
	return basis, nil
}

// firstBasis is the strongest basis that holds; "" for none.
func (t *Trust) firstBasis(j keyFacts, key auth.PublicKey) Basis {
	switch {
	case t.byAnchor(j):
		return ByAnchor
	case j.anchored:
		return ByRoot
	case !t.Publisher.IsZero():
		return ByPublisher
	case t.accepts(key):
		return ByAcceptKey
	case !j.held.IsZero():
		return ByPin
	case (t.KeyHashID || t.FirstUse) && auth.StoreIDFromKey(key) == j.store:
		return ByKeyHash
	case t.FirstUse && !j.known.IsZero():
		return ByKnown
	case t.FirstUse:
		return ByFirstUse
	}
	return ""
}

// accepts reports whether AcceptKey names the key.
func (t *Trust) accepts(key auth.PublicKey) bool {
	return !t.AcceptKey.IsZero() && key == t.AcceptKey
}

// byAnchor reports whether the anchor confirmed the root.
func (t *Trust) byAnchor(j keyFacts) bool { return t.Anchor != nil && j.anchored }
