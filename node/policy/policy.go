package policy

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dig-network/digstore/node/economy"
)

// Origin is how a candidate came to the node.
type Origin string

// The origins.
const (
	Local  Origin = "local" // the operator
	Push   Origin = "push"
	Gossip Origin = "gossip"
	Repair Origin = "repair"
	Fetch  Origin = "fetch"
)

// Candidate is a generation that the node may accept, or has accepted.
type Candidate struct {
	Store, Root economy.ID
	// Handle is the name of the datastore according to a source of handles, never according to the
	// pushing caller; empty: none.
	Handle      string
	Tier        economy.Tier
	Capsules    uint64
	Size        uint64 // bytes that accepting it would add
	Origin      Origin
	Reward      *economy.Amount // expected for each day; nil: unknown
	Bribe       economy.Amount  // for each day
	Providers   int             // others that are known to hold it; above 32 counts as 32
	Age         time.Duration   // of the generation
	Requests24h uint64
}

func (c Candidate) providers() int { return min(max(0, c.Providers), maxProviders) }

// State is the state of the node.
type State struct {
	Pinned  bool // the candidate's datastore: it is never evicted
	Tracked bool
	Revoked bool // the candidate's root is tombstoned or quarantined

	Capacity uint64 // bytes of the storage
	Free     uint64
	Plots    int
	MaxPlots int    // negative: no limit
	Accepted uint64 // bytes of what was accepted under this policy

	Stored []Stored // datastores that may be evicted
}

// Stored is a stored datastore that may be evicted for another.
type Stored struct {
	Store      economy.ID
	Size       uint64
	Pinned     bool
	Providers  int // other nodes that hold it
	LastAccess time.Time
	Score      float64
}

// The codes of decisions. They are the values of reject_code.
const (
	CodeLocal           = "local"
	CodeBlacklisted     = "blacklisted"
	CodeTombstoned      = "tombstoned"
	CodeNoSpace         = "no_space"
	CodeWhitelisted     = "whitelisted"
	CodeTracked         = "tracked"
	CodeNotWhitelisted  = "not_whitelisted"
	CodeTierFiltered    = "tier_filtered"
	CodeRewardTooLow    = "reward_too_low"
	CodeTooFewProviders = "too_few_providers"
	CodeModeQuota       = "mode_quota"
	CodeScoredLow       = "scored_low"
	CodeDefault         = "mode_default"
)

// Result is the result of one rule.
type Result struct {
	Rule    int    // its number in the package documentation
	Name    string // of the rule
	Verdict Verdict
	Detail  string
}

// Verdict is the verdict of a rule.
type Verdict string

// The verdicts.
const (
	Passed   Verdict = "pass" // continue with the next rule
	Accepted Verdict = "accept"
	Rejected Verdict = "reject"
	Skipped  Verdict = "skip"
)

// Decision is the decision about a candidate, with its reasons.
type Decision struct {
	Accept bool
	Code   string
	Reason string        // for people
	Target string        // destination: "l2", "l3" or "l4"; empty if it is rejected
	TTL    time.Duration // dropped after this time without an access; 0: never
	Score  *Score        // nil: no scorer was used
	Evict  []economy.ID  // datastores to evict first
	Trace  []Result      // of every rule that ran, in their order
	// Warnings are names of conditions for the operator: "reward_unknown", "scorer_failed".
	Warnings []string
}

// Explain returns the rules that ran and their results, one line each.
func (d Decision) Explain() string {
	var b strings.Builder
	for _, r := range d.Trace {
		fmt.Fprintf(&b, "%2d %-12s %-6s %s\n", r.Rule, r.Name, r.Verdict, r.Detail)
	}
	fmt.Fprintf(&b, "=> %s: %s\n", d.Code, d.Reason)
	return b.String()
}

// Policy decides by a configuration. It is safe for concurrent use. New makes one.
type Policy struct {
	current atomic.Pointer[rules]
}

// rules are one configuration with its scorer.
type rules struct {
	config     Config
	filter     *Filter // nil: none
	unresolved bool
}

// New returns the policy of a configuration. filters has the scorers by name, besides
// HeuristicModel. If the scorer of the configuration is not among them, the policy uses Heuristic,
// and Unresolved returns the name.
func New(c Config, filters map[string]Filter) (*Policy, error) {
	made, err := newRules(c, filters)
	if err != nil {
		return nil, err
	}
	p := new(Policy)
	p.current.Store(made)
	return p, nil
}

// Replace makes p use the configuration of other. Decisions in progress are not affected.
func (p *Policy) Replace(other *Policy) { p.current.Store(other.current.Load()) }

func newRules(c Config, filters map[string]Filter) (*rules, error) {
	p := &rules{config: c}
	if c.Filter == "" {
		return p, nil
	}
	f, ok := filters[c.Filter]
	if !ok {
		f = Filter{Scorer: Heuristic{}}
		p.unresolved = c.Filter != HeuristicModel
	}
	f.Threshold = cmp.Or(f.Threshold, DefaultThreshold)
	f.OnError = cmp.Or(f.OnError, UseHeuristic)
	if !(f.Threshold > 0 && f.Threshold <= 1) {
		return nil, fmt.Errorf("%w: threshold of scorer %.40q: found %v, expected above 0 and at most 1",
			ErrSettings, c.Filter, f.Threshold)
	}
	if !slices.Contains([]OnError{UseHeuristic, Reject, Accept}, f.OnError) || f.Scorer == nil {
		return nil, fmt.Errorf("%w: scorer %.40q: on_error %.40q, expected heuristic, reject or accept",
			ErrSettings, c.Filter, string(f.OnError))
	}
	p.filter = &f
	return p, nil
}

// Config returns the configuration.
func (p *Policy) Config() Config { return p.current.Load().config }

// Unresolved returns the name of the configured scorer if it does not exist, and "" otherwise.
func (p *Policy) Unresolved() string {
	if now := p.current.Load(); now.unresolved {
		return now.config.Filter
	}
	return ""
}

// MayDrop reports whether the number of other known providers is enough to drop a capsule.
func (p *Policy) MayDrop(providers int) bool { return p.current.Load().mayDrop(providers) }

func (p *rules) mayDrop(providers int) bool { return providers >= p.config.MinProviders }

// Expired reports whether the TTL of something last accessed at lastAccess has passed.
func (p *Policy) Expired(lastAccess, now time.Time) bool {
	ttl := p.Config().TTL
	return ttl > 0 && now.Sub(lastAccess) >= ttl
}

// Reserve returns the number of bytes of a storage that stay free: a twentieth, and at least 1 GiB.
func Reserve(capacity uint64) uint64 { return max(capacity/20, 1<<30) }

// Decide decides about a candidate. Only the scorer uses ctx.
func (p *Policy) Decide(ctx context.Context, c Candidate, s State) Decision {
	r := &run{rules: p.current.Load(), ctx: ctx, c: c, s: s}
	return r.decide([]rule{
		{1, "origin", r.local}, {2, "blacklist", r.blacklist}, {3, "tombstone", r.tombstone},
		{4, "capacity", r.capacity}, {5, "whitelist", r.whitelist}, {6, "selection", r.selection},
		{7, "tier", r.tier}, {8, "reward", r.reward}, {9, "providers", r.replicas},
		{9, "quota", r.quota}, {10, "scorer", r.scorer}, {11, "mode", r.mode},
	})
}

// Review decides whether stored content still qualifies: it is Decide without the rules about room.
// The caller drops content that does not, after some time and if MayDrop permits it.
func (p *Policy) Review(ctx context.Context, c Candidate, s State) Decision {
	r := &run{rules: p.current.Load(), ctx: ctx, c: c, s: s}
	return r.decide([]rule{
		{1, "origin", r.local}, {2, "blacklist", r.blacklist}, {3, "tombstone", r.tombstone},
		{5, "whitelist", r.whitelist}, {6, "selection", r.selection}, {7, "tier", r.tier},
		{8, "reward", r.reward}, {9, "providers", r.replicas}, {10, "scorer", r.scorer},
		{11, "mode", r.mode},
	})
}

// run is one decision.
type run struct {
	*rules
	ctx context.Context
	c   Candidate
	s   State
	d   Decision
}

type rule struct {
	number int
	name   string
	ask    func() (v Verdict, code, detail string)
}

// notSkippable is the last of the first rules, which accept_all does not skip.
const notSkippable = 5

func (r *run) decide(rules []rule) Decision {
	for _, rule := range rules {
		if r.config.AcceptAll && rule.number > notSkippable && rule.number < 11 {
			r.d.Trace = append(r.d.Trace, Result{rule.number, rule.name, Skipped, "accept_all"})
			continue
		}
		v, code, detail := rule.ask()
		r.d.Trace = append(r.d.Trace, Result{rule.number, rule.name, v, detail})
		if v == Accepted || v == Rejected {
			r.d.Accept, r.d.Code, r.d.Reason = v == Accepted, code, detail
			break
		}
	}
	if !r.d.Accept {
		r.d.Evict = nil
		return r.d
	}
	r.d.Target = r.target()
	if r.d.Code == CodeDefault {
		r.d.TTL = r.config.TTL
	}
	return r.d
}

// target returns the destination of a candidate. One with a bribe goes to fast storage.
func (r *run) target() string {
	if r.bribe(r.c) > 0 {
		return "l2"
	}
	return economy.Place{Tier: r.c.Tier}.Class(0).String()
}

// bribe returns the bribe of a candidate, or 0 if bribes are not accepted.
func (p *rules) bribe(c Candidate) economy.Amount {
	if !p.config.AcceptBribes {
		return 0
	}
	return max(0, c.Bribe)
}

func (r *run) local() (Verdict, string, string) {
	if r.c.Origin == Local {
		return Accepted, CodeLocal, "it comes from the operator"
	}
	return Passed, "", fmt.Sprintf("origin %s", r.c.Origin)
}

func (r *run) blacklist() (Verdict, string, string) {
	if p, ok := matches(r.config.Blacklist, r.c.Handle, r.c.Store); ok {
		return Rejected, CodeBlacklisted, fmt.Sprintf("pattern %q matches", p)
	}
	return Passed, "", "no pattern matches"
}

func (r *run) tombstone() (Verdict, string, string) {
	if r.s.Revoked {
		return Rejected, CodeTombstoned, "the root is revoked or quarantined"
	}
	return Passed, "", "the root is not revoked"
}

func (r *run) capacity() (Verdict, string, string) {
	if r.s.MaxPlots >= 0 && r.s.Plots >= r.s.MaxPlots {
		return Rejected, CodeNoSpace, fmt.Sprintf("%d plots, at most %d", r.s.Plots, r.s.MaxPlots)
	}
	free, reserve := r.s.Free, Reserve(r.s.Capacity)
	room := free - min(free, reserve)
	if r.c.Size <= room {
		return Passed, "", fmt.Sprintf("%d bytes, room for %d", r.c.Size, room)
	}
	if !r.makeRoom(r.c.Size - room) {
		return Rejected, CodeNoSpace, fmt.Sprintf("%d bytes, room for %d", r.c.Size, room)
	}
	return Passed, "", fmt.Sprintf("%d bytes, room for %d when %d datastores make way", r.c.Size, room,
		len(r.d.Evict))
}

// makeRoom plans evictions for need bytes. In cache mode it evicts the least recently accessed, in
// selective mode the lowest scores that are clearly below that of the candidate. It evicts nothing
// in archive mode, nothing that is pinned, and nothing with too few other providers.
func (r *run) makeRoom(need uint64) bool {
	list := slices.DeleteFunc(slices.Clone(r.s.Stored), func(v Stored) bool {
		return v.Pinned || v.Store == r.c.Store || !r.mayDrop(v.Providers)
	})
	switch r.config.Mode {
	case Cache:
		slices.SortStableFunc(list, func(a, b Stored) int { return a.LastAccess.Compare(b.LastAccess) })
	case Selective:
		score := r.score().Value
		list = slices.DeleteFunc(list, func(v Stored) bool { return !(score > v.Score*1.05) })
		slices.SortStableFunc(list, func(a, b Stored) int { return cmp.Compare(a.Score, b.Score) })
	default:
		return false
	}
	var evict []economy.ID
	for _, v := range list {
		if evict = append(evict, v.Store); v.Size >= need {
			r.d.Evict = evict
			return true
		}
		need -= v.Size
	}
	return false
}

func (r *run) whitelist() (Verdict, string, string) {
	if p, ok := matches(r.config.Whitelist, r.c.Handle, r.c.Store); ok {
		return Accepted, CodeWhitelisted, fmt.Sprintf("pattern %q matches", p)
	}
	if r.s.Pinned {
		return Accepted, CodeTracked, "the datastore is pinned"
	}
	if r.s.Tracked {
		return Accepted, CodeTracked, "the datastore is tracked"
	}
	return Passed, "", "no pattern matches, neither pinned nor tracked"
}

func (r *run) selection() (Verdict, string, string) {
	switch {
	case r.config.Mode != Selective:
		return Passed, "", "the mode is not selective"
	case r.filter != nil:
		return Passed, "", "the scorer decides"
	case r.config.MinReward > 0 && r.known():
		return Passed, "", "the reward decides"
	case r.config.MinReward > 0:
		return Rejected, CodeNotWhitelisted, "no list names it, and its reward is not known"
	}
	return Rejected, CodeNotWhitelisted, "no list names it"
}

// known reports whether a reward or a bribe is known.
func (r *run) known() bool { return r.c.Reward != nil || r.bribe(r.c) > 0 }

func (r *run) tier() (Verdict, string, string) {
	if !r.config.Tiers.Accepts(r.c.Tier) {
		return Rejected, CodeTierFiltered, fmt.Sprintf("tier %d, expected one of %v", r.c.Tier,
			r.config.Tiers)
	}
	return Passed, "", fmt.Sprintf("tier %d", r.c.Tier)
}

func (r *run) reward() (Verdict, string, string) {
	least := r.config.MinReward
	if least == 0 {
		return Passed, "", "none is asked for"
	}
	sum := r.bribe(r.c)
	if r.c.Reward != nil {
		sum = sum.Plus(*r.c.Reward)
	}
	switch {
	case sum >= least:
		return Passed, "", fmt.Sprintf("%v DIG a day, least %v", sum, least)
	case r.c.Reward == nil:
		r.d.Warnings = append(r.d.Warnings, "reward_unknown")
		return Passed, "", "the reward is not known"
	}
	return Rejected, CodeRewardTooLow, fmt.Sprintf("%v DIG a day, expected at least %v", sum, least)
}

func (r *run) replicas() (Verdict, string, string) {
	n, least := r.c.providers(), r.config.MinProviders
	if n < least {
		return Rejected, CodeTooFewProviders, fmt.Sprintf("%d others hold it, expected at least %d", n,
			least)
	}
	return Passed, "", fmt.Sprintf("%d others hold it, least %d", n, least)
}

func (r *run) quota() (Verdict, string, string) {
	most := r.config.MaxSize
	if most > 0 && (r.s.Accepted > most || r.c.Size > most-r.s.Accepted) {
		return Rejected, CodeModeQuota, fmt.Sprintf("%d bytes beside %d, expected at most %d",
			r.c.Size, r.s.Accepted, most)
	}
	return Passed, "", fmt.Sprintf("%d bytes beside %d", r.c.Size, r.s.Accepted)
}

func (r *run) scorer() (Verdict, string, string) {
	if r.filter == nil {
		return Passed, "", "none is configured"
	}
	score := r.score()
	switch {
	case score.Model == "" && r.filter.OnError == Reject:
		return Rejected, CodeScoredLow, "the scorer failed"
	case score.Model == "":
		return Passed, "", "the scorer failed"
	case score.Value < r.filter.Threshold:
		return Rejected, CodeScoredLow, fmt.Sprintf("%s rates it %.3f, expected at least %.3f",
			score.Model, score.Value, r.filter.Threshold)
	}
	return Passed, "", fmt.Sprintf("%s rates it %.3f, least %.3f", score.Model, score.Value,
		r.filter.Threshold)
}

// score rates the candidate, once. If the scorer failed and OnError decides, the score has no
// model.
func (r *run) score() Score {
	if r.d.Score != nil {
		return *r.d.Score
	}
	f := r.features(r.c)
	heuristic, _ := Heuristic{}.Score(r.ctx, f)
	score := heuristic
	if r.filter != nil {
		var err error
		score, err = r.filter.Scorer.Score(r.ctx, f)
		if err == nil {
			err = score.Check()
		}
		if err == nil && score.Model == "" {
			err = fmt.Errorf("score without a model")
		}
		switch {
		case err == nil:
		case r.filter.OnError == UseHeuristic:
			r.d.Warnings = append(r.d.Warnings, "scorer_failed")
			score = heuristic
		default:
			r.d.Warnings = append(r.d.Warnings, "scorer_failed")
			score = Score{}
		}
	}
	r.d.Score = &score
	return score
}

func (r *run) mode() (Verdict, string, string) {
	return Accepted, CodeDefault, fmt.Sprintf("mode %s takes it", r.config.Mode)
}

// PerDay converts an amount for each epoch into one for each day. Without an epoch it is 0.
func PerDay(a economy.Amount, epoch time.Duration) economy.Amount {
	return economy.ChainReward(a, 1, 1, epoch, 24*time.Hour)
}

// Expected returns what joining the providers of a datastore can be expected to earn in a day, for
// capsules of the given sizes.
func Expected(r economy.Rates, t economy.Tier, sizes []uint32, providers int) economy.Amount {
	var sum economy.Amount
	for _, size := range sizes {
		sum = sum.Plus(r.Expected(t, uint64(size), uint64(max(0, providers))))
	}
	return PerDay(sum, r.Epoch())
}

// Bribes returns what offers pay in a day for a datastore of which the node has the given usage.
func Bribes(r economy.Rates, offers []economy.Bribe, u economy.Usage) economy.Amount {
	return PerDay(economy.Total(offers, u), r.Epoch())
}
