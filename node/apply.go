package node

import (
	"github.com/dig-network/digstore/node/api"
	"github.com/dig-network/digstore/node/policy"
)

// Settings can be changed while a node runs.
type Settings struct {
	Policy *policy.Policy // nil: unchanged. Apply copies it; see policy.Policy.Replace
	// Callers are the buckets of callers. Keys and Tracked do not change. All buckets are full
	// afterwards.
	Callers *api.Limits // nil: unchanged
}

// Apply changes the settings that are not nil.
func (n *Node) Apply(s Settings) {
	if s.Policy != nil {
		n.c.Policy.Replace(s.Policy)
	}
	if s.Callers != nil {
		n.api.SetLimits(*s.Callers)
	}
}
