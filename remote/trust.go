package remote

import (
	"context"
	"fmt"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/merkle"
)

// A Trust says why an origin is trusted. The zero value trusts nothing, and [Clone] refuses. The
// content that a module's root covers is always verified. Trust decides about the rest: key and
// history lie outside the root, and a store's id is in general not bound to its key
// (remote/PROTOCOL.md 9.4).
type Trust struct {
	// Anchor is asked first. Its answer is the root that is installed; its error is a refusal. A head
	// without a signature is accepted only if the Anchor, or Root, confirms it. No key is pinned from
	// such a head, and a pinned key must be that of the module. An Anchor that is a [Lineage] also
	// confirms older generations.
	Anchor Anchor
	// Root is a root that the caller knows. It has the effect of an Anchor that returns it.
	Root merkle.Hash
	// Publisher is a key that the caller knows. A module with another key is refused.
	Publisher auth.PublicKey
	// KeyHashID accepts a key whose SHA-256 is the store's id, as in stores that init makes. It has no
	// effect on other ids.
	KeyHashID bool
	// FirstUse accepts the first key that is seen for this store.
	FirstUse bool
	// Known remembers the key of every store that was accepted. nil: keys are not remembered. If it
	// has another key for a store, the store is refused unless Publisher or AcceptKey is the new key
	// or an Anchor confirms it.
	Known KnownKeys
	// AcceptKey is a publisher key to accept once in place of the pinned one. An Anchor that confirms
	// a root signed by the new key has the same effect.
	AcceptKey auth.PublicKey
	// AcceptHead is a head to accept once although its history does not contain the local head, for a
	// caller who knows why the histories diverged. It must be signed by an accepted key. The local
	// history keeps its lines, and the new ones follow them. For a head that is in the local history
	// already, set AcceptRevert.
	AcceptHead merkle.Hash
	// AcceptRevert accepts a head that is in the local history before the local head, because the
	// publisher went back to it. Otherwise only an Anchor, or Root, makes such a head acceptable,
	// because an origin could send the old signature again.
	AcceptRevert bool
	// AllowUnsignedHistory accepts older generations that only the origin names. They must have the
	// publisher's key.
	AllowUnsignedHistory bool
}

// A Basis is the reason why a publisher key was accepted.
type Basis string

// The bases, the strongest first.
const (
	ByAnchor    Basis = "anchor"       // the anchor confirmed the root that the key signed
	ByRoot      Basis = "root"         // Trust.Root is the root that the key signed
	ByPublisher Basis = "publisher"    // the key is Trust.Publisher
	ByAcceptKey Basis = "accepted key" // the key is Trust.AcceptKey
	ByPin       Basis = "pin"          // the key is pinned
	ByKeyHash   Basis = "key hash"     // the hash of the key is the store's id
	ByKnown     Basis = "known store"  // Trust.Known has the key from an earlier first use
	ByFirstUse  Basis = "first use"    // it is the first key that was seen
)

// isZero reports whether t cannot accept any origin.
func (t *Trust) isZero() bool {
	return t.Anchor == nil && t.Root.IsZero() && t.Publisher.IsZero() && !t.KeyHashID && !t.FirstUse &&
		t.AcceptKey.IsZero()
}

// requiredRoot returns the root of the anchor or t.Root, or the zero hash if t has neither.
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

// lineage maps the roots of the anchor's lineage to their last index. It is nil without a Lineage.
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

// keyFacts is what is known about a store and a root when a publisher key is checked.
type keyFacts struct {
	store    auth.StoreID
	held     auth.PublicKey // pinned; zero: none
	known    auth.PublicKey // of an earlier first use; zero: none
	anchored bool           // the anchor, or Trust.Root, confirmed the root
	signed   bool           // the key signed that root
}

// checkKey checks the key of a module and returns its basis. changed says that it replaces another
// key.
func (t *Trust) checkKey(facts keyFacts, key auth.PublicKey,
	passed passedFunc) (basis Basis, changed bool, err error) {
	if changed, err = t.checkPublisher(facts, key, passed); err != nil {
		return "", false, err
	}
	basis, err = t.basis(facts, key, passed)
	return basis, changed, err
}

// checkPublisher checks the key of a module against the given, pinned and known keys. changed says
// that it replaces another key.
func (t *Trust) checkPublisher(facts keyFacts, key auth.PublicKey,
	passed passedFunc) (changed bool, err error) {
	if !t.Publisher.IsZero() && key != t.Publisher {
		return false, &VerificationError{Check: CheckPublisher, Want: t.Publisher.String(),
			Got: key.String(), Err: ErrKeyChanged}
	}
	before, named := facts.held, false
	if before.IsZero() { // a known key applies, unless the caller gives Publisher
		before, named = facts.known, !t.Publisher.IsZero()
	}
	changed = !before.IsZero() && key != before
	if changed && !named && !(facts.signed && (t.accepts(key) || t.byAnchor(facts))) {
		return false, &VerificationError{Check: CheckPublisher, Want: before.String(), Got: key.String(),
			Err: fmt.Errorf(
				"%w: without an anchor that confirms it, only naming the new key lets it through",
				ErrKeyChanged)}
	}
	switch {
	case !t.Publisher.IsZero():
		passed(CheckPublisher, "the key given, "+t.Publisher.String())
	case !facts.held.IsZero():
		passed(CheckPublisher, "the key held, "+facts.held.String())
	case !facts.known.IsZero():
		passed(CheckPublisher, "the key of an earlier first use, "+facts.known.String())
	default:
		passed(CheckPublisher, "nothing: none was held")
	}
	return changed, nil
}

// basis returns why a key that passed checkPublisher is accepted, or ErrUntrusted.
func (t *Trust) basis(facts keyFacts, key auth.PublicKey, passed passedFunc) (Basis, error) {
	basis := t.firstBasis(facts, key)
	if basis == "" {
		return "", &VerificationError{Check: CheckTrust,
			Got: "publisher " + key.String(), Err: ErrUntrusted}
	}
	passed(CheckTrust, string(basis))
	return basis, nil
}

// firstBasis returns the strongest basis that applies, or "".
func (t *Trust) firstBasis(facts keyFacts, key auth.PublicKey) Basis {
	switch {
	case t.byAnchor(facts):
		return ByAnchor
	case facts.anchored:
		return ByRoot
	case !t.Publisher.IsZero():
		return ByPublisher
	case t.accepts(key):
		return ByAcceptKey
	case !facts.held.IsZero():
		return ByPin
	case (t.KeyHashID || t.FirstUse) && auth.StoreIDFromKey(key) == facts.store:
		return ByKeyHash
	case t.FirstUse && !facts.known.IsZero():
		return ByKnown
	case t.FirstUse:
		return ByFirstUse
	}
	return ""
}

// accepts reports whether key is AcceptKey.
func (t *Trust) accepts(key auth.PublicKey) bool {
	return !t.AcceptKey.IsZero() && key == t.AcceptKey
}

// byAnchor reports whether the anchor confirmed the root.
func (t *Trust) byAnchor(facts keyFacts) bool { return t.Anchor != nil && facts.anchored }
