package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// An Evidence is what speaks against an origin, or against a publisher: that two heads of one store
// do not go together. It is kept where the Local is a [TrustStore], as its JSON, so that others can
// be shown it.
//
// What is proven in it are the two signatures, see [Evidence.Check]: a publisher that never signed
// beside its own history cannot be made to look so, except with roots that it signed and then did
// not publish. The lines of a history are only what the origin sent.
type Evidence struct {
	Kind    Check        `json:"kind"`  // CheckFork, CheckRollback or CheckAncestry
	Found   time.Time    `json:"found"` // by our clock
	Store   auth.StoreID `json:"store_id"`
	Held    Claim        `json:"held"`    // what we had, or what another origin said
	Offered Claim        `json:"offered"` // what the origin said
}

// A Claim is a head and the history that leads to it, as one party has it.
type Claim struct {
	By         string          `json:"by"` // the origin's name; "here" for the local store
	Root       merkle.Hash     `json:"root"`
	Generation uint64          `json:"generation"`
	Time       time.Time       `json:"time"` // of the line, as told
	PublicKey  auth.PublicKey  `json:"public_key"`
	Tagged     *auth.Signature `json:"signature_tagged,omitempty"`   // of root and store under PublicKey
	Untagged   *auth.Signature `json:"signature_untagged,omitempty"` // the untagged form
	Common     *merkle.Hash    `json:"common_root,omitempty"`        // the newest root that both histories have
	Last       []ClaimLine     `json:"last"`                         // the newest lines, oldest first, at most 64
	Descriptor *Descriptor     `json:"descriptor,omitempty"`         // as it came, at most 16 of its tombstones
}

// A ClaimLine is one line of a history.
type ClaimLine struct {
	Generation uint64      `json:"generation"`
	Root       merkle.Hash `json:"root"`
	Timestamp  int64       `json:"timestamp"` // unix seconds
}

// How much of a history and of a descriptor is kept.
const (
	maxClaimLines      = 64
	maxClaimTombstones = 16
)

// Check reports whether e proves anything by itself: it is an error when the two heads are the
// same, or one of them is not signed by its key, or the keys differ. nil: one key has signed both.
func (e *Evidence) Check() error {
	if e.Held.Root == e.Offered.Root {
		return errors.New("remote: evidence: both heads are the same")
	}
	if e.Held.PublicKey != e.Offered.PublicKey {
		return fmt.Errorf("remote: evidence: signed by two keys, %s and %s", e.Held.PublicKey,
			e.Offered.PublicKey)
	}
	for _, c := range []*Claim{&e.Held, &e.Offered} {
		var sigs []auth.Signature
		for _, s := range []*auth.Signature{c.Tagged, c.Untagged} {
			if s != nil {
				sigs = append(sigs, *s)
			}
		}
		if _, err := auth.AcceptRoot(e.Store, c.Root, c.PublicKey, sigs...); err != nil {
			return fmt.Errorf("remote: evidence: head of %s: %w", c.By, err)
		}
	}
	return nil
}

// ParseEvidence reads what a [TrustStore] keeps. It checks no signature.
func ParseEvidence(doc []byte) (*Evidence, error) {
	if len(doc) > MaxEvidenceSize {
		return nil, fmt.Errorf("remote: evidence: %w: %d bytes, at most %d are read", ErrTooLarge,
			len(doc), MaxEvidenceSize)
	}
	e := new(Evidence)
	if err := json.Unmarshal(doc, e); err != nil {
		return nil, fmt.Errorf("remote: evidence: %w", err)
	}
	return e, nil
}

// newClaim returns the claim of by for head and the lines up to it.
func newClaim(by string, head auth.SignedRoot, lines []module.Generation, d *Descriptor) Claim {
	c := Claim{By: by, Root: head.Root, PublicKey: head.PublicKey, Last: []ClaimLine{}}
	if !head.Tagged.IsZero() {
		c.Tagged = &head.Tagged
	}
	if !head.Untagged.IsZero() {
		c.Untagged = &head.Untagged
	}
	if i := find(lines, head.Root); i >= 0 {
		c.Generation, c.Time = lines[i].Number, lines[i].Time
	}
	for _, g := range lines[max(0, len(lines)-maxClaimLines):] {
		c.Last = append(c.Last, ClaimLine{g.Number, g.Root, g.Time.Unix()})
	}
	if d != nil {
		short := *d
		short.Tombstones = short.Tombstones[:min(len(short.Tombstones), maxClaimTombstones)]
		c.Descriptor = &short
	}
	return c
}

// newest returns the newest root of ours that also stands in theirs.
func newest(ours, theirs []module.Generation) *merkle.Hash {
	there := make(map[merkle.Hash]struct{}, len(theirs))
	for _, g := range theirs {
		there[g.Root] = struct{}{}
	}
	for i := len(ours) - 1; i >= 0; i-- {
		if _, ok := there[ours[i].Root]; ok {
			return &ours[i].Root
		}
	}
	return nil
}

// recordEvidence keeps evidence when err is an origin's that does not go together with what is
// held, and names it in the error. Where one key has signed both heads it is a fork.
func (v *syncRun) recordEvidence(ctx context.Context, s *snapshot, err error) error {
	var refused *VerificationError
	if !errors.As(err, &refused) || refused.Check != CheckRollback && refused.Check != CheckAncestry {
		return err
	}
	ours, lerr := v.local.lines(ctx)
	if lerr != nil {
		return errors.Join(err, lerr)
	}
	held := v.head
	if held.Root.IsZero() { // nothing is here but a pin
		held.Root, held.PublicKey = v.pins.Root, v.pins.Publisher
	}
	offered, serr := s.descriptor.SignedRoot(v.store, v.pins.Publisher)
	if serr != nil {
		offered = auth.SignedRoot{Store: v.store, Root: s.descriptor.Root,
			PublicKey: s.descriptor.PublicKey}
	}
	e := &Evidence{Kind: refused.Check, Store: v.store, Held: newClaim("here", held, ours, nil),
		Offered: newClaim(s.name, offered, s.lines, s.descriptor)}
	e.Held.Common = newest(ours, s.lines)
	if refused.Check == CheckAncestry && serr == nil && held.Check() == nil &&
		held.PublicKey == offered.PublicKey {
		refused.Check, refused.Err, e.Kind = CheckFork, ErrForked, CheckFork
	}
	refused.Evidence, lerr = v.keepEvidence(ctx, e)
	s.report.Evidence = refused.Evidence
	return errors.Join(err, lerr)
}

// keepEvidence keeps e and returns its name, "" where nothing keeps it. It stands in the report in
// any case.
func (v *syncRun) keepEvidence(ctx context.Context, e *Evidence) (name string, err error) {
	e.Found = v.now().UTC().Truncate(time.Second)
	w, ok := v.to.(TrustStore)
	if !ok {
		v.report.Evidence = append(v.report.Evidence, *e)
		return "", nil
	}
	kept, err := w.Evidence(ctx)
	if err != nil {
		return "", fmt.Errorf("remote: read evidence: %w", err)
	}
	doc, err := e.document()
	for _, k := range kept { // seen before: then it is the document that is there
		old, perr := ParseEvidence(k)
		if err != nil || perr != nil {
			continue
		}
		again := *e
		again.Found = old.Found
		if same, serr := again.document(); serr == nil && bytes.Equal(same, k) {
			*e, doc = again, same
			break
		}
	}
	if err == nil {
		name, err = w.PutEvidence(ctx, doc)
	}
	if err != nil {
		return "", fmt.Errorf("remote: keep evidence: %w", err)
	}
	v.report.Evidence = append(v.report.Evidence, *e)
	return name, nil
}

// document is e as it is kept.
func (e *Evidence) document() ([]byte, error) {
	doc, err := json.MarshalIndent(e, "", "  ")
	return append(doc, '\n'), err
}
