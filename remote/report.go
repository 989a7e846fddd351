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

// A Report says what a clone or pull did, what was checked and against what, and what the result
// rests on. It is the same for one origin and for several. Its JSON has the members named below.
type Report struct {
	Store      auth.StoreID        `json:"store_id"`
	From       merkle.Hash         `json:"from"`       // the local head before; zero: there was none
	Root       merkle.Hash         `json:"root"`       // the local head now
	Generation uint64              `json:"generation"` // its number
	UpToDate   bool                `json:"up_to_date"` // nothing new was there
	Installed  []module.Generation `json:"-"`          // in the order of installation: the head first, then older ones, oldest first
	Missing    []Missing           `json:"missing"`    // wanted, and not to be had
	Bytes      int64               `json:"bytes"`      // of the modules installed

	Checks     []PassedCheck  `json:"checks"`          // that were made and passed, in order
	Publisher  auth.PublicKey `json:"publisher"`       // the key in the module of Root
	Basis      Basis          `json:"basis,omitempty"` // why it is believed; "" when UpToDate
	KeyProven  bool           `json:"key_proven"`      // its hash is the store's id
	KeyChanged bool           `json:"key_changed"`     // it took another one's place
	// Unanchored says that neither an anchor nor a root given confirmed Root: the publisher signed it,
	// but there may be a newer one that this origin does not show.
	Unanchored bool `json:"unanchored"`
	// Unsigned says that no signature of Root came: an anchor or a root given confirmed it, and
	// nothing is known of Publisher but that it stands in the module. It is not held, and its
	// tombstones do not count, unless it was held or given before.
	Unsigned bool `json:"unsigned"`
	// HistoryConfirmed says that the anchor's lineage contains every line up to Root. Without it,
	// lines of generations that are not held are the origin's word.
	HistoryConfirmed bool `json:"history_confirmed"`
	// HeadTime is the time in the line of Root, which is the origin's word, and HeadAge how long ago
	// that was by our clock. An origin that is frozen shows an old head, and so does a publisher that
	// rests: only an anchor, or other origins, can tell them apart.
	HeadTime time.Time     `json:"head_time"`
	HeadAge  time.Duration `json:"-"`
	// Diverged says that Root does not descend from From, and was taken because Trust.AcceptHead names
	// it.
	Diverged bool `json:"diverged"`
	// Reverted says that Root stands in the local history before From too: the publisher went back to
	// it, which an anchor or a root given confirmed, or Trust.AcceptRevert let through.
	Reverted   bool             `json:"reverted"`
	NewerHead  merkle.Hash      `json:"newer_head"` // the origin's head, when the anchor confirms only an older one
	Tombstones []auth.Tombstone `json:"-"`          // valid ones that were new to us; kept where the Local is a TrustStore

	Origins  []OriginReport `json:"origins"`            // what each origin that was asked did, in the order given
	Evidence []Evidence     `json:"evidence,omitempty"` // of what was found to speak against one; kept where the Local is a TrustStore
}

// A PassedCheck is a check that was made and passed.
type PassedCheck struct {
	Check   Check  `json:"check"`
	Against string `json:"against"` // what it was held against, in words: values of ours, of the caller's, or another answer of the origin
}

// An OriginState says what became of an origin.
type OriginState string

// The states.
const (
	OriginUsed OriginState = "used" // it was believed as far as it was asked
	// what it shows is true, and older than what another origin shows
	OriginBehind      OriginState = "behind"
	OriginRefused     OriginState = "refused"     // a check refused it: it lies, or passes lies on
	OriginSlow        OriginState = "slow"        // others were faster by far, and took its place
	OriginUnreachable OriginState = "unreachable" // it did not answer, or not to the end
)

// An OriginReport is what one origin said and what became of it.
type OriginReport struct {
	Origin     string      `json:"origin"`     // its name
	State      OriginState `json:"verdict"`    //
	Head       merkle.Hash `json:"head"`       // that it shows; zero: it showed none
	Generation uint64      `json:"generation"` // of its head, as far as its history was read
	Bytes      int64       `json:"bytes"`      // of modules that came from it and were used
	Check      Check       `json:"check,omitempty"`
	Err        error       `json:"-"` // why it was refused, or did not answer; in JSON the text, as "error"
	// Withheld are the tombstones that we know to be valid and this origin does not show: it hides
	// them, or has not heard of them.
	Withheld []auth.Tombstone `json:"-"`
	Evidence string           `json:"evidence,omitempty"` // the name under which a TrustStore keeps it
}

// A Missing is a generation that was wanted and not installed.
type Missing struct {
	module.Generation
	// why: [fs.ErrNotExist], [auth.ErrRevoked], a *VerificationError of CheckETag or CheckLineage
	Err error
}

// RefusedOrigins are the accounts of the origins that were refused.
func (r *Report) RefusedOrigins() []OriginReport {
	var out []OriginReport
	for _, a := range r.Origins {
		if a.State == OriginRefused {
			out = append(out, a)
		}
	}
	return out
}

// PassedCheck reports whether a check was made and passed.
func (r *Report) Passed(c Check) bool {
	for _, p := range r.Checks {
		if p.Check == c {
			return true
		}
	}
	return false
}

// MarshalJSON writes all of it; generations as in /roots, tombstones as in a descriptor, the age in
// seconds.
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

// MarshalJSON writes the error as its text.
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

// MarshalJSON writes the line and the error as its text.
func (m Missing) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		ClaimLine
		Error string `json:"error"`
	}{ClaimLine{m.Number, m.Root, m.Time.Unix()}, text(m.Err)})
}

func encodeTombstones(stones []auth.Tombstone) ([]wire.TombstoneBody, error) {
	out := []wire.TombstoneBody{}
	for _, t := range stones {
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
