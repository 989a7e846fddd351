package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/api"
	"github.com/dig-network/digstore/node/economy"
	"github.com/dig-network/digstore/node/index"
	"github.com/dig-network/digstore/node/policy"
	"github.com/dig-network/digstore/node/tier"
	"github.com/dig-network/digstore/plot"
)

// CreatePlot makes a plot of capsules of a head. Without volumes it is errors.ErrUnsupported.
func (n *Node) CreatePlot(
	ctx context.Context, p api.PlotRequest, progress func(float64),
) (*api.PlotInfo, error) {
	if len(n.c.Volumes) == 0 {
		return nil, fmt.Errorf("create plot: %w: the node has no volumes", errors.ErrUnsupported)
	}
	g, err := n.tiers.Generation(ctx, p.Store, merkle.Hash{})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &api.Error{Code: api.DatastoreNotFound, Err: err}
	}
	if err != nil {
		return nil, err
	}
	r := tier.PlotRequest{Generations: []index.Key{{Store: p.Store, Root: g.Manifest.Root}}}
	if p.Compression != "" {
		if r.Compression, err = plot.ParseCompression(p.Compression); err != nil {
			return nil, &api.Error{Code: api.InvalidArgument, Err: err}
		}
	}
	if len(p.Indices) > 0 {
		if last := p.Indices[len(p.Indices)-1]; int64(last) >= int64(len(g.Manifest.Capsules)) {
			return nil, fmt.Errorf("create plot: capsule %d of store %v: %w", last, p.Store,
				fs.ErrNotExist)
		}
		r.Keep = func(_ auth.StoreID, d capsule.Descriptor) bool {
			_, found := slices.BinarySearch(p.Indices, d.Index)
			return found
		}
	}
	r.Progress = func(at plot.Progress) { progress(share(at)) }
	info, err := n.tiers.CreatePlot(ctx, r)
	if errors.Is(err, fs.ErrExist) {
		return nil, &api.Error{Code: api.AlreadyExists, Err: err}
	}
	if err != nil {
		return nil, err
	}
	return &api.PlotInfo{ID: info.ID, Created: info.Created, Size: info.Size,
		Capsules: info.Capsules}, nil
}

// share returns how much of a plot is made: writing, work and verification are a third each.
func share(p plot.Progress) float64 {
	if p.Total <= 0 {
		return 0
	}
	begin := map[string]float64{"write": 0, "work": 1. / 3, "quick": 2. / 3, "full": 2. / 3}
	return begin[p.Phase] + float64(p.Done)/float64(p.Total)/3
}

// Collected is what Collect removed, or with dryRun would remove.
type Collected struct {
	DryRun      bool      `json:"dry_run"`
	Orphans     int       `json:"orphans"` // contents that no generation names
	Generations []Removal `json:"generations"`
	Bytes       uint64    `json:"bytes"` // freed at most
}

// Removal is a generation that is removed.
type Removal struct {
	Store  string `json:"datastore_id"`
	Root   string `json:"merkle_root"`
	Reason string `json:"reason"`
	Code   string `json:"code,omitempty"` // of the policy
	Bytes  uint64 `json:"bytes"`
}

// Collect removes what the node does not need to keep. With dryRun it removes nothing and only
// reports. The result is a *Collected.
func (n *Node) Collect(ctx context.Context, dryRun bool, progress func(float64)) (any, error) {
	plan, err := n.tiers.Plan(ctx)
	if plan == nil || err != nil && ctx.Err() != nil {
		return nil, err
	}
	progress(0.5)
	c := &Collected{DryRun: dryRun, Orphans: len(plan.Orphans), Bytes: plan.Bytes(),
		Generations: []Removal{}}
	kept := map[index.Key]bool{}
	if !dryRun {
		done, failed := n.tiers.Collect(ctx, plan)
		if err = errors.Join(err, failed); err != nil {
			return nil, err
		}
		c.Orphans, c.Bytes = done.Orphans, done.Bytes
		for _, r := range done.Kept {
			kept[r.Key] = true
		}
	}
	for _, r := range plan.Generations {
		if !kept[r.Key] {
			c.Generations = append(c.Generations, Removal{"0x" + r.Store.String(),
				"0x" + r.Root.String(), string(r.Reason), r.Code, r.Bytes})
		}
	}
	return c, err
}

// Scrub verifies everything that the node holds, and repairs what it can. The result says what was
// found.
func (n *Node) Scrub(ctx context.Context, _ func(float64)) (any, error) {
	if err := n.tiers.Scrub(ctx); err != nil {
		return nil, err
	}
	s := n.tiers.Status().Scrub
	return map[string]any{"bytes": s.Bytes, "damaged": s.Damaged, "repaired": s.Repaired}, nil
}

// Explanation is what the policy decides about a datastore, and why.
type Explanation struct {
	Store  string   `json:"datastore_id"`
	Stored bool     `json:"stored"` // the node has a head of it
	Accept bool     `json:"accept"`
	Code   string   `json:"code"`
	Reason string   `json:"reason"`
	Target string   `json:"target_tier,omitempty"`
	TTL    int64    `json:"ttl_seconds"`
	Score  *float64 `json:"score"`
	Model  string   `json:"model,omitempty"`
	Rules  []Rule   `json:"rules"`
}

// Rule is what one rule of the policy found.
type Rule struct {
	Rule    int    `json:"rule"`
	Name    string `json:"name"`
	Verdict string `json:"verdict"`
	Detail  string `json:"detail"`
}

// Explain returns the decision of the policy about a push of a datastore by somebody else than the
// operator. The result is an *Explanation.
func (n *Node) Explain(ctx context.Context, store auth.StoreID) (any, error) {
	f, err := n.facts(ctx, store)
	if err != nil {
		return nil, err
	}
	state, err := n.state(ctx, f)
	if err != nil {
		return nil, err
	}
	c := policy.Candidate{Store: economy.ID(store), Handle: f.Handle, Tier: f.Tier,
		Origin: policy.Push, Reward: f.Reward, Bribe: f.Bribe, Providers: f.Providers,
		Requests24h: f.Requests24h}
	e := &Explanation{Store: "0x" + store.String()}
	g, err := n.tiers.Index().Generation(store, merkle.Hash{})
	if err == nil {
		e.Stored = true
		c.Root, c.Capsules, c.Size = economy.ID(g.Root), uint64(g.Count), g.Bytes
	}
	d := n.c.Policy.Decide(ctx, c, state)
	e.Accept, e.Code, e.Reason, e.Target = d.Accept, d.Code, d.Reason, d.Target
	e.TTL = int64(d.TTL.Seconds())
	if d.Score != nil {
		e.Score, e.Model = &d.Score.Value, d.Score.Model
	}
	for _, r := range d.Trace {
		e.Rules = append(e.Rules, Rule{r.Rule, r.Name, string(r.Verdict), r.Detail})
	}
	return e, nil
}
