package economy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Bribe is an offer to pay nodes for holding a datastore.
type Bribe struct {
	Datastore        ID
	Address          string            // of the distributor
	Balances         map[string]Amount // by asset: "XCH" or the id of a CAT
	RewardPerTB      Amount            // per epoch and 10^12 bytes held
	MinConsolidation float64           // minimum share of capsules held, 0 to 1
	Regions          []string          // one of which the node must be in; empty: anywhere
	MaxLatency       time.Duration     // 0: any
	MinUptime        float64           // 0 to 1; 0: any
	Distributed      Amount
	LastDistribution time.Time
}

// Usage has the measurements of a node about a datastore. An unknown measurement is zero.
type Usage struct {
	Held, Total uint64 // capsules
	Bytes       uint64 // of the capsules held
	Requests    uint64
	Latency     time.Duration // 0: not measured
	Uptime      float64       // 0 to 1
	Region      string
	Passed      uint64 // challenges
	Failed      uint64
}

// PassRate returns the share of challenges that passed, and whether there were any.
func (u Usage) PassRate() (rate float64, ok bool) {
	n := u.Passed + u.Failed
	if n == 0 {
		return 0, false
	}
	return float64(u.Passed) / float64(n), true
}

// Eligible returns nil if a node with this usage earns b, and otherwise an error with the first
// unmet condition. An unknown latency meets no limit.
func (b Bribe) Eligible(u Usage) error {
	share := 0.0
	if u.Total > 0 {
		share = float64(min(u.Held, u.Total)) / float64(u.Total)
	}
	switch {
	case u.Held == 0:
		return fmt.Errorf("bribe: no capsule is held")
	case !(share >= b.MinConsolidation):
		return fmt.Errorf("bribe: %d of %d capsules are held, expected a share of at least %g",
			u.Held, u.Total, b.MinConsolidation)
	case len(b.Regions) > 0 && !slices.ContainsFunc(b.Regions,
		func(r string) bool { return strings.EqualFold(r, u.Region) }):
		return fmt.Errorf("bribe: region %q, expected one of %q", u.Region, b.Regions)
	case b.MaxLatency > 0 && (u.Latency <= 0 || u.Latency > b.MaxLatency):
		return fmt.Errorf("bribe: latency %v, expected at most %v", u.Latency, b.MaxLatency)
	case !(u.Uptime >= b.MinUptime):
		return fmt.Errorf("bribe: uptime %g, expected at least %g", u.Uptime, b.MinUptime)
	}
	return nil
}

// Reward returns what b pays for an epoch: in proportion to the bytes held if the usage is
// eligible, and otherwise 0.
func (b Bribe) Reward(u Usage) Amount {
	if b.Eligible(u) != nil || b.RewardPerTB < 0 {
		return 0
	}
	return b.RewardPerTB.scale(u.Bytes, 1e12)
}

// Total returns the sum of the rewards of several offers for one datastore.
func Total(offers []Bribe, u Usage) Amount {
	var sum Amount
	for _, b := range offers {
		sum = sum.Plus(b.Reward(u))
	}
	return sum
}

// PlotCoin is a record on the chain that an owner provides a capsule. It is used to count
// providers.
type PlotCoin struct {
	ID               ID
	Capsule          ID
	Owner            [48]byte // BLS public key
	Created          time.Time
	BlockHeight      uint64
	BlockHash        ID
	Stake            Amount
	Location         [64]byte
	LocationSig      [96]byte
	Proof, Signature []byte
}

// Providers returns the number of owners that have a coin for the capsule.
func Providers(coins []PlotCoin, capsule ID) uint64 {
	owners := map[[48]byte]bool{}
	for _, c := range coins {
		if c.Capsule == capsule {
			owners[c.Owner] = true
		}
	}
	return uint64(len(owners))
}
