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

// Evidence records two conflicting heads of one store, as evidence against an origin or a
// publisher. A [TrustStore] keeps its JSON, so that the user can show it to others.
//
// Only the two signatures prove anything; see [Evidence.Check]. They cannot incriminate a publisher
// that signed one history only, except with roots that it signed and did not publish. The lines of
// a history are unproven: they are what the origin sent.
type Evidence struct {
	Kind    Check        `json:"kind"`  // CheckFork, CheckRollback or CheckAncestry
	Found   time.Time    `json:"found"` // by the local clock
	Store   auth.StoreID `json:"store_id"`
	Held    Claim        `json:"held"`    // of the local store, or of another origin
	Offered Claim        `json:"offered"` // of the origin
}

// A Claim is a head and the history that leads to it, according to one party.
type Claim struct {
	By         string          `json:"by"` // the origin's name; "here" for the local store
	Root       merkle.Hash     `json:"root"`
	Generation uint64          `json:"generation"`
	Time       time.Time       `json:"time"` // of the line, unchecked
	PublicKey  auth.PublicKey  `json:"public_key"`
	Tagged     *auth.Signature `json:"signature_tagged,omitempty"`   // of root and store under PublicKey
	Untagged   *auth.Signature `json:"signature_untagged,omitempty"` // the untagged form
	Common     *merkle.Hash    `json:"common_root,omitempty"`        // the newest root in both histories
	Last       []ClaimLine     `json:"last"`                         // the newest lines, oldest first, at most 64
	Descriptor *Descriptor     `json:"descriptor,omitempty"`         // as received, at most 16 tombstones
}

// A ClaimLine is one line of a history.
type ClaimLine struct {
	Generation uint64      `json:"generation"`
	Root       merkle.Hash `json:"root"`
	Timestamp  int64       `json:"timestamp"` // unix seconds
}

// Limits of the history and the descriptor in a Claim.
const (
	maxClaimLines      = 64
	maxClaimTombstones = 16
)

// Check returns nil if one key has signed both heads. It returns an error if the heads are the
// same, the keys differ, or a signature is missing or invalid.
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

// ParseEvidence decodes a document of a [TrustStore]. It checks no signature. The error wraps
// [ErrTooLarge] beyond [MaxEvidenceSize] bytes.
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

// newClaim returns the claim of the party by: head, and the last of lines, which end at head.
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

// newest returns the newest root of ours that is also in theirs, or nil.
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

// recordEvidence stores evidence when err says that an origin's head conflicts with the local
// history, and names it in the error. It changes the check to CheckFork when one key has signed
// both heads.
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
	if held.Root.IsZero() { // the local store has only a pin
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

// keepEvidence stores e and returns its name, "" if the Local is not a TrustStore. It adds e to the
// report either way.
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
	for _, k := range kept { // reuse an equal document but for the time
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

// document returns e as stored.
func (e *Evidence) document() ([]byte, error) {
	doc, err := json.MarshalIndent(e, "", "  ")
	return append(doc, '\n'), err
}
