package remote

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/remote/internal/wire"
)

// A Report describes what a clone or pull did, which checks passed, and why the result is trusted.
// Its JSON has the members named below.
type Report struct {
	Store      auth.StoreID        `json:"store_id"`
	From       merkle.Hash         `json:"from"`       // the local head before; zero: none
	Root       merkle.Hash         `json:"root"`       // the local head now
	Generation uint64              `json:"generation"` // its number
	UpToDate   bool                `json:"up_to_date"` // Root was already the local head
	Installed  []module.Generation `json:"-"`          // in the order of installation: the head first, then older ones, oldest first
	Missing    []Missing           `json:"missing"`    // wanted but not installed
	Bytes      int64               `json:"bytes"`      // of the modules installed

	Checks     []PassedCheck  `json:"checks"`          // that passed, in order
	Publisher  auth.PublicKey `json:"publisher"`       // the key in the module of Root
	Basis      Basis          `json:"basis,omitempty"` // why it was accepted; "" when UpToDate
	KeyProven  bool           `json:"key_proven"`      // its hash is the store's id
	KeyChanged bool           `json:"key_changed"`     // it replaced another key
	// Unanchored is true if neither an anchor nor Trust.Root confirmed Root. The publisher signed it,
	// but there may be a newer one that the origin does not serve.
	Unanchored bool `json:"unanchored"`
	// Unsigned is true if the origin sent no signature of Root. An anchor or Trust.Root confirmed it.
	// Publisher is then only the key in the module: it is not pinned, and its tombstones do not count,
	// unless it was pinned or given before.
	Unsigned bool `json:"unsigned"`
	// HistoryConfirmed is true if the anchor's lineage contains every line up to Root. Otherwise lines
	// of generations that are not held are unverified.
	HistoryConfirmed bool `json:"history_confirmed"`
	// HeadTime is the unverified time in the line of Root. HeadAge is its age by the local clock. A
	// great age means that the origin withholds newer heads or that the publisher made none; only an
	// anchor or other origins can tell.
	HeadTime time.Time     `json:"head_time"`
	HeadAge  time.Duration `json:"-"`
	// Diverged is true if Root does not descend from From and Trust.AcceptHead named it.
	Diverged bool `json:"diverged"`
	// Reverted is true if Root is also in the local history before From: the publisher went back to
	// it, as an anchor or Trust.Root confirmed or Trust.AcceptRevert allowed.
	Reverted   bool             `json:"reverted"`
	NewerHead  merkle.Hash      `json:"newer_head"` // the origin's head, when the anchor confirms only an older one
	Tombstones []auth.Tombstone `json:"-"`          // valid and new; a TrustStore keeps them

	Origins  []OriginReport `json:"origins"`            // those asked, in the order given
	Evidence []Evidence     `json:"evidence,omitempty"` // a TrustStore keeps it
}

// A PassedCheck is a check that passed.
type PassedCheck struct {
	Check Check `json:"check"`
	// Against describes the other side of the comparison: a local value, the caller's, or another
	// answer of the origin.
	Against string `json:"against"`
}

// An OriginState is the result for one origin.
type OriginState string

// The states.
const (
	OriginUsed        OriginState = "used"        // it passed every check made
	OriginBehind      OriginState = "behind"      // it passed, and another origin has a newer head
	OriginRefused     OriginState = "refused"     // it failed a check
	OriginSlow        OriginState = "slow"        // it was much slower than others
	OriginUnreachable OriginState = "unreachable" // it did not answer in full
)

// An OriginReport describes the answers of one origin and the result.
type OriginReport struct {
	Origin     string      `json:"origin"` // its name
	State      OriginState `json:"verdict"`
	Head       merkle.Hash `json:"head"`       // zero: it sent none
	Generation uint64      `json:"generation"` // of its head; 0 if its history was not read
	Bytes      int64       `json:"bytes"`      // received from it and used, of modules
	Check      Check       `json:"check,omitempty"`
	Err        error       `json:"-"` // why it was excluded; in JSON its text, as "error"
	// Withheld are the valid tombstones that this origin does not serve.
	Withheld []auth.Tombstone `json:"-"`
	Evidence string           `json:"evidence,omitempty"` // the name of the evidence in the TrustStore
}

// A Missing is a generation that was wanted and not installed.
type Missing struct {
	module.Generation
	// why: [fs.ErrNotExist], [auth.ErrRevoked], a *VerificationError of CheckETag or CheckLineage
	Err error
}

// RefusedOrigins returns the reports of the origins that failed a check.
func (r *Report) RefusedOrigins() []OriginReport {
	var out []OriginReport
	for _, a := range r.Origins {
		if a.State == OriginRefused {
			out = append(out, a)
		}
	}
	return out
}

// Passed reports whether the check c passed.
func (r *Report) Passed(c Check) bool {
	for _, p := range r.Checks {
		if p.Check == c {
			return true
		}
	}
	return false
}

// MarshalJSON encodes the report, with generations as in /roots, tombstones as in a descriptor, and
// the age in seconds.
func (r *Report) MarshalJSON() ([]byte, error) {
	type bare Report
	out := struct {
		*bare
		Installed  []ClaimLine          `json:"installed"`
		HeadAge    int64                `json:"head_age_seconds"`
		Tombstones []wire.TombstoneBody `json:"tombstones"`
		Checks     []PassedCheck        `json:"checks"`
		Missing    []Missing            `json:"missing"`
		Origins    []OriginReport       `json:"origins"`
	}{bare: (*bare)(r), Installed: []ClaimLine{}, HeadAge: int64(r.HeadAge / time.Second),
		Checks: notNil(r.Checks), Missing: notNil(r.Missing), Origins: notNil(r.Origins)}
	for _, g := range r.Installed {
		out.Installed = append(out.Installed, ClaimLine{g.Number, g.Root, g.Time.Unix()})
	}
	var err error
	if out.Tombstones, err = encodeTombstones(r.Tombstones); err != nil {
		return nil, err
	}
	return json.Marshal(out)
}

// MarshalJSON encodes the error as its text.
func (a OriginReport) MarshalJSON() ([]byte, error) {
	type bare OriginReport
	withheld, err := encodeTombstones(a.Withheld)
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		bare
		Error    string               `json:"error,omitempty"`
		Withheld []wire.TombstoneBody `json:"withheld,omitempty"`
	}{bare(a), text(a.Err), withheld})
}

// MarshalJSON encodes the line, and the error as its text.
func (m Missing) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		ClaimLine
		Error string `json:"error"`
	}{ClaimLine{m.Number, m.Root, m.Time.Unix()}, text(m.Err)})
}

func encodeTombstones(tombstones []auth.Tombstone) ([]wire.TombstoneBody, error) {
	out := []wire.TombstoneBody{}
	for _, t := range tombstones {
		b, err := wire.EncodeTombstone(t)
		if err != nil {
			return nil, fmt.Errorf("remote: encode report: %w", err)
		}
		out = append(out, b)
	}
	return out, nil
}

func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
