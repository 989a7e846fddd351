package node

import (
	"github.com/dig-network/digstore/node/api"
	"github.com/dig-network/digstore/node/policy"
)

// Settings are what can be changed while a node runs.
type Settings struct {
	Policy *policy.Policy // nil: it stays. Its content is taken; see policy.Policy.Replace
	// Callers are the buckets of callers; Keys and Tracked do not change. Callers begin with full
	// ones.
	Callers *api.Limits // nil: they stay
}

// Apply changes what s has.
func (n *Node) Apply(s Settings) {
	if s.Policy != nil {
		n.c.Policy.Replace(s.Policy)
	}
	if s.Callers != nil {
		n.api.SetLimits(*s.Callers)
	}
}
