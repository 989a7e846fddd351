package spend

import (
	"strconv"
	"testing"

	"github.com/dig-network/digstore/internal/docs"
)

// TestSpendsDocument compares the tables of SPENDS.md with the code.
func TestSpendsDocument(t *testing.T) {
	doc := docs.Open(t, "SPENDS.md")
	want := map[string]string{}
	for name, n := range map[string]uint64{
		"spends of a bundle": MaxSpends, "bytes of puzzles and solutions": MaxBundleBytes,
		"steps of a puzzle": maxSteps, "bytes of memory of a puzzle": maxMemory,
		"announcements and assertions of a spend": maxConditions,
		"bytes of a message or announcement":      maxAnnouncementBytes,
		"cost of a bundle":                        MaxCost,
		"default limit of the fee in mojos":       DefaultMaxFee,
		"bytes of a label or size proof":          MaxLabel, "bytes of a description": MaxDescription,
		"delegates": MaxDelegates, "coins of a selection": MaxSelected,
		"coins of a selection by the driver": maxKnapsack,
		"coins of a consolidation":           MaxConsolidated,
	} {
		want[name] = strconv.FormatUint(n, 10)
	}
	doc.Compare("7.4", "limit", "value", want)
	challenges := map[string]string{}
	for _, n := range []Network{Mainnet(), Testnet11(), Simulator()} {
		challenges[n.Name] = n.Challenge.String()
	}
	doc.Compare("8", "network", "challenge", challenges)
}
