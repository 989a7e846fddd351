package economy

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// ID is a 32-byte value: of a datastore, an owner, a block.
type ID [32]byte

// Tier is the class of a datastore by its handle: 1, the shortest names, to 6. Tier 0 is a
// datastore without a valid handle.
type Tier uint8

// The limits of tiers.
const (
	NoTier  Tier = 0
	MaxTier Tier = 6
)

// TierOf returns the tier of a handle, with or without ".dig" at its end, by the number of code
// points before it: up to 3 are tier 1, 4 to 7 are tiers 2 to 5, 8 and more are tier 6. An empty
// name has no tier.
func TierOf(name string) Tier {
	n := utf8.RuneCountInString(strings.TrimSuffix(name, ".dig"))
	switch {
	case n == 0:
		return NoTier
	case n <= 3:
		return 1
	case n >= 8:
		return MaxTier
	}
	return Tier(n - 2)
}

// Better reports whether t is a better tier than other: a lower number, and any tier is better
// than none.
func (t Tier) Better(other Tier) bool {
	return t != NoTier && (other == NoTier || t < other)
}

// Handle is a registered name of a datastore.
type Handle struct {
	Name       string // without ".dig"
	Datastore  ID
	Owner      ID
	Registered time.Time
	Expires    time.Time // zero: never
	Fee        Amount
	Metadata   json.RawMessage // an object, or empty
}

// Valid reports whether h counts at a time: registered, not expired, and with a name.
func (h Handle) Valid(at time.Time) bool {
	return TierOf(h.Name) != NoTier && !at.Before(h.Registered) && (h.Expires.IsZero() || at.Before(h.Expires))
}

// BestTier returns the best tier of the handles that are valid at a time, and NoTier when none is.
func BestTier(handles []Handle, at time.Time) Tier {
	best := NoTier
	for _, h := range handles {
		if t := TierOf(h.Name); h.Valid(at) && t.Better(best) {
			best = t
		}
	}
	return best
}

// TierFilter lists the tiers that are accepted. An empty filter accepts all, and only it accepts
// tier 0.
type TierFilter []Tier

// Accepts reports whether the filter lets a tier through.
func (f TierFilter) Accepts(t Tier) bool {
	return len(f) == 0 || t != NoTier && slices.Contains(f, t)
}

// Class is a kind of storage for what lasts.
type Class uint8

// The classes: L3 and L4 of the storage hierarchy.
const (
	SSD Class = 3
	HDD Class = 4
)

// String returns "l3" or "l4", as in logs.
func (c Class) String() string {
	if c == SSD {
		return "l3"
	}
	return "l4"
}

// Place is what decides where something is stored.
type Place struct {
	Tier       Tier
	Age        time.Duration // of the plot
	Superseded bool          // a newer generation of the datastore is stored
	Backup     bool          // another file of the same plot is stored
}

// DemotionAge is the default age at which a plot leaves the SSD.
const DemotionAge = 30 * 24 * time.Hour

// Class returns the class for p: SSD for tiers 1 to 3, HDD for the others and for what is
// superseded, a backup or at least as old as demotion. Demotion that is not positive is
// DemotionAge.
func (p Place) Class(demotion time.Duration) Class {
	if demotion <= 0 {
		demotion = DemotionAge
	}
	if p.Tier == NoTier || p.Tier > 3 || p.Age >= demotion || p.Superseded || p.Backup {
		return HDD
	}
	return SSD
}
