package policy_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dig-network/digstore/node/economy"
	"github.com/dig-network/digstore/node/policy"
)

const gib = 1 << 30

// rates gives every candidate the same score, or fails.
type rates struct {
	score policy.Score
	err   error
}

func (r rates) Score(context.Context, policy.Features) (policy.Score, error) {
	return r.score, r.err
}

func must(t testing.TB, s policy.Settings, filters map[string]policy.Filter) *policy.Policy {
	t.Helper()
	c, err := s.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.New(c, filters)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func candidate() policy.Candidate {
	return policy.Candidate{Store: economy.ID{0xab}, Root: economy.ID{1}, Handle: "mydata", Tier: 4,
		Capsules: 1, Size: 1000, Origin: policy.Push}
}

func roomy() policy.State {
	return policy.State{Capacity: 100 * gib, Free: 90 * gib, MaxPlots: -1}
}

func ptr[T any](v T) *T { return &v }

// Each rule alone, and which of two that contradict comes first.
func TestRules(t *testing.T) {
	selective, archive := policy.Settings{}, policy.Settings{Mode: policy.Archive}
	list := policy.Settings{Whitelist: []string{"my*"}}
	black := policy.Settings{Whitelist: []string{"my*"}, Blacklist: []string{"*DATA"}}
	rewarding := policy.Settings{MinReward: ptr(economy.DIG)}
	all := rewarding
	all.AcceptAll, all.MinProviders = ptr(true), ptr(5)
	all.TierFilter = &policy.Tiers{economy.TierFilter{1}}
	quota := policy.Settings{Mode: policy.Archive, AcceptAll: ptr(false), MaxSizeGB: ptr(1.0)}
	type filters map[string]policy.Filter
	scored := func(score float64, model string, err error, on policy.OnError) filters {
		s := rates{policy.Score{Value: score, Model: model}, err}
		return filters{"s": {Scorer: s, OnError: on}}
	}
	filter := policy.Settings{AIFilter: ptr("s")}
	broken := errors.New("broken")
	type edit func(c *policy.Candidate, s *policy.State)
	none := func(*policy.Candidate, *policy.State) {}
	for _, c := range []struct {
		name     string
		settings policy.Settings
		filters  filters
		edit     edit
		code     string
		accept   bool
	}{
		{"operator", selective, nil,
			func(c *policy.Candidate, _ *policy.State) { c.Origin = policy.Local }, policy.CodeLocal,
			true},
		{"operator, on a full disk", black, nil, func(c *policy.Candidate, s *policy.State) {
			c.Origin, s.Free = policy.Local, 0
		}, policy.CodeLocal, true},
		{"blacklist before whitelist and pins", black, nil,
			func(_ *policy.Candidate, s *policy.State) { s.Pinned = true }, policy.CodeBlacklisted, false},
		{"revoked before whitelist", list, nil,
			func(_ *policy.Candidate, s *policy.State) { s.Revoked = true }, policy.CodeTombstoned, false},
		{"no room before whitelist", list, nil,
			func(_ *policy.Candidate, s *policy.State) { s.Free = 5 * gib }, policy.CodeNoSpace, false},
		{"room to the byte", list, nil,
			func(c *policy.Candidate, s *policy.State) { s.Free = 5*gib + c.Size }, policy.CodeWhitelisted,
			true},
		{"reserve of a small storage", list, nil,
			func(_ *policy.Candidate, s *policy.State) { s.Capacity, s.Free = 2*gib, gib },
			policy.CodeNoSpace, false},
		{"too many plots", archive, nil,
			func(_ *policy.Candidate, s *policy.State) { s.Plots, s.MaxPlots = 3, 3 }, policy.CodeNoSpace,
			false},
		{"no plots allowed", archive, nil,
			func(_ *policy.Candidate, s *policy.State) { s.MaxPlots = 0 }, policy.CodeNoSpace, false},
		{"whitelist", list, nil, none, policy.CodeWhitelisted, true},
		{"pinned", selective, nil, func(_ *policy.Candidate, s *policy.State) { s.Pinned = true },
			policy.CodeTracked, true},
		{"tracked", selective, nil, func(_ *policy.Candidate, s *policy.State) { s.Tracked = true },
			policy.CodeTracked, true},
		{"selective without a list", selective, nil, none, policy.CodeNotWhitelisted, false},
		{"selective, another handle", list, nil,
			func(c *policy.Candidate, _ *policy.State) { c.Handle = "yourdata" }, policy.CodeNotWhitelisted,
			false},
		{"selective, reward not known", rewarding, nil, none, policy.CodeNotWhitelisted, false},
		{"selective, rewarding", rewarding, nil,
			func(c *policy.Candidate, _ *policy.State) { c.Reward = ptr(economy.DIG) }, policy.CodeDefault,
			true},
		{"selective, not rewarding", rewarding, nil,
			func(c *policy.Candidate, _ *policy.State) { c.Reward = ptr(economy.DIG - 1) },
			policy.CodeRewardTooLow, false},
		{"bribe makes up for it", rewarding, nil,
			func(c *policy.Candidate, _ *policy.State) { c.Reward, c.Bribe = ptr(economy.DIG-1), 1 },
			policy.CodeDefault, true},
		{"bribe alone", rewarding, nil,
			func(c *policy.Candidate, _ *policy.State) { c.Bribe = economy.DIG }, policy.CodeDefault, true},
		{"archive, reward not known", policy.Settings{Mode: policy.Archive, AcceptAll: ptr(false),
			MinReward: ptr(economy.DIG)}, nil, none, policy.CodeDefault, true},
		{"cache, tier 4", policy.Settings{Mode: policy.Cache}, nil, none, policy.CodeTierFiltered, false},
		{"cache, tier 0", policy.Settings{Mode: policy.Cache}, nil,
			func(c *policy.Candidate, _ *policy.State) { c.Tier = 0 }, policy.CodeTierFiltered, false},
		{"cache, unpopular", policy.Settings{Mode: policy.Cache}, nil,
			func(c *policy.Candidate, _ *policy.State) { c.Tier, c.Providers = 3, 4 },
			policy.CodeTooFewProviders, false},
		{"cache, popular", policy.Settings{Mode: policy.Cache}, nil,
			func(c *policy.Candidate, _ *policy.State) { c.Tier, c.Providers = 3, 5 }, policy.CodeDefault,
			true},
		{"over the quota", quota, nil,
			func(c *policy.Candidate, s *policy.State) { s.Accepted, c.Size = 1e9, 1 }, policy.CodeModeQuota,
			false},
		{"quota to the byte", quota, nil,
			func(c *policy.Candidate, s *policy.State) { s.Accepted, c.Size = 1e9-7, 7 }, policy.CodeDefault,
			true},
		{"quota was lowered", quota, nil,
			func(c *policy.Candidate, s *policy.State) { s.Accepted, c.Size = 2e9, 0 }, policy.CodeModeQuota,
			false},
		{"accept_all skips 6 to 10", all, scored(0, "m", nil, ""), none, policy.CodeDefault, true},
		{"accept_all does not skip 2",
			policy.Settings{Mode: policy.Archive, Blacklist: []string{"mydata"}}, nil,
			none, policy.CodeBlacklisted, false},
		{"scored well", filter, scored(0.5, "m", nil, ""), none, policy.CodeDefault, true},
		{"scored low", filter, scored(0.49, "m", nil, ""), none, policy.CodeScoredLow, false},
		{"scorer fails, heuristic", filter, scored(0, "", broken, ""), none, policy.CodeScoredLow, false},
		{"scorer fails, heuristic likes it", filter, scored(0, "", broken, ""),
			func(c *policy.Candidate, _ *policy.State) { c.Tier, c.Reward = 1, ptr(100*economy.DIG) },
			policy.CodeDefault, true},
		{"scorer fails, reject", filter, scored(1, "", broken, policy.Reject), none, policy.CodeScoredLow,
			false},
		{"scorer fails, accept", filter, scored(0, "", broken, policy.Accept), none,
			policy.CodeDefault, true},
		{"score is no number", filter, scored(math.NaN(), "m", nil, policy.Reject), none,
			policy.CodeScoredLow, false},
		{"score without a model", filter, scored(1, "", nil, policy.Reject), none,
			policy.CodeScoredLow, false},
	} {
		cand, state := candidate(), roomy()
		c.edit(&cand, &state)
		d := must(t, c.settings, c.filters).Decide(t.Context(), cand, state)
		if d.Code != c.code || d.Accept != c.accept || d.Reason == "" {
			t.Errorf("%s: %+v, expected %s", c.name, d, c.code)
		}
		last := d.Trace[len(d.Trace)-1]
		want := policy.Rejected
		if c.accept {
			want = policy.Accepted
		}
		if last.Verdict != want || last.Detail != d.Reason ||
			!strings.Contains(d.Explain(), d.Code+": "+d.Reason) {
			t.Errorf("%s: the explanation differs: %s", c.name, d.Explain())
		}
		if (d.Target == "") == c.accept {
			t.Errorf("%s: target %q", c.name, d.Target)
		}
	}
}

func TestTargets(t *testing.T) {
	p := must(t, policy.ArchiveSettings(), nil)
	proud := must(t, policy.Settings{Mode: policy.Archive,
		Economic: policy.Economic{AcceptBribes: ptr(false)}}, nil)
	for tier, want := range map[economy.Tier]string{0: "l4", 1: "l3", 3: "l3", 4: "l4", 6: "l4"} {
		c := candidate()
		c.Tier = tier
		if d := p.Decide(t.Context(), c, roomy()); d.Target != want {
			t.Errorf("tier %d: %s, expected %s", tier, d.Target, want)
		}
		c.Bribe = 1
		if d := p.Decide(t.Context(), c, roomy()); d.Target != "l2" {
			t.Errorf("tier %d with a bribe: %s, expected l2", tier, d.Target)
		}
		if d := proud.Decide(t.Context(), c, roomy()); d.Target != want {
			t.Errorf("tier %d with a bribe that does not count: %s, expected %s", tier, d.Target, want)
		}
	}
	c := candidate()
	c.Tier, c.Providers = 1, 9
	cache := must(t, policy.CacheSettings(), nil)
	if d := cache.Decide(t.Context(), c, roomy()); d.TTL != 168*time.Hour {
		t.Errorf("time to live %v", d.TTL)
	}
}

// What makes way, and what does not.
func TestEviction(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	id := func(n byte) economy.ID { return economy.ID{n} }
	stored := []policy.Stored{
		{Store: id(1), Size: 600, Providers: 9, LastAccess: at.Add(3 * time.Hour), Score: 0.1},
		{Store: id(2), Size: 600, Providers: 9, LastAccess: at.Add(1 * time.Hour), Score: 0.3},
		{Store: id(3), Size: 600, Providers: 4, LastAccess: at, Score: 0.2},
		{Store: id(4), Size: 9000, Providers: 9, LastAccess: at, Score: 0, Pinned: true},
		{Store: id(5), Size: 600, Providers: 9, LastAccess: at.Add(2 * time.Hour), Score: 0.49},
	}
	scorer := map[string]policy.Filter{"s": {Scorer: rates{policy.Score{Value: 0.5, Model: "m"}, nil}}}
	for _, c := range []struct {
		name     string
		settings policy.Settings
		size     uint64
		want     []economy.ID // nil: no room
	}{
		{"archive", policy.ArchiveSettings(), 1, nil},
		{"cache: the oldest access that others hold", policy.CacheSettings(), 600, []economy.ID{id(2)}},
		{"cache: two", policy.CacheSettings(), 601, []economy.ID{id(2), id(5)}},
		{"cache: too much", policy.CacheSettings(), 1801, nil},
		{"selective: the lowest scores", policy.Settings{AIFilter: ptr("s")}, 1000,
			[]economy.ID{id(1), id(3)}},
		{"selective: not what scores nearly as well", policy.Settings{AIFilter: ptr("s")}, 1801, nil},
	} {
		cand, state := candidate(), roomy()
		cand.Tier, cand.Providers, cand.Size = 1, 9, c.size
		state.Free, state.Stored = policy.Reserve(state.Capacity), stored
		d := must(t, c.settings, scorer).Decide(t.Context(), cand, state)
		if d.Accept != (c.want != nil) || !slices.Equal(d.Evict, c.want) {
			t.Errorf("%s: %+v, expected %v", c.name, d, c.want)
		}
		if c.want == nil && d.Code != policy.CodeNoSpace {
			t.Errorf("%s: %s", c.name, d.Code)
		}
	}
}

// A review asks for no room, and the times and copies that matter for dropping.
func TestReview(t *testing.T) {
	p := must(t, policy.CacheSettings(), nil)
	c, s := candidate(), policy.State{Accepted: math.MaxUint64}
	c.Tier, c.Providers = 1, 5
	if d := p.Review(t.Context(), c, s); !d.Accept {
		t.Errorf("review of what qualifies: %+v", d)
	}
	c.Tier = 4
	if d := p.Review(t.Context(), c, s); d.Code != policy.CodeTierFiltered {
		t.Errorf("review of what does not: %+v", d)
	}
	if p.MayDrop(4) || !p.MayDrop(5) {
		t.Error("dropped below 5 other copies, or not above")
	}
	at := time.Unix(1_700_000_000, 0)
	if p.Expired(at, at.Add(168*time.Hour-1)) || !p.Expired(at, at.Add(168*time.Hour)) ||
		must(t, policy.ArchiveSettings(), nil).Expired(at, at.Add(1e6*time.Hour)) {
		t.Error("time to live")
	}
}

func TestGlobs(t *testing.T) {
	id := strings.Repeat("ab", 32)
	for _, c := range []struct {
		pattern, handle string
		want            bool
	}{
		{"mydata", "mydata", true}, {"MyData", "mydata.dig", true}, {"mydata", "mydatas", false},
		{"my*", "my", true}, {"*", "anything", true}, {"*", "", true}, {"m?data", "mydata", true},
		{"m?data", "mdata", false}, {"[a-m]ydata", "mydata", true}, {"[^m]ydata", "mydata", false},
		{id, "", true}, {strings.ToUpper(id), "", true}, {"abab*", "", true},
		{strings.Repeat("ac", 32), strings.Repeat("ac", 32), false}, {"spam*", "", false},
	} {
		p := must(t, policy.Settings{Whitelist: []string{c.pattern}}, nil)
		cand := candidate()
		cand.Handle = c.handle
		for i := range cand.Store {
			cand.Store[i] = 0xab
		}
		if d := p.Decide(t.Context(), cand, roomy()); d.Accept != c.want {
			t.Errorf("pattern %q, handle %q: %s, expected %v", c.pattern, c.handle, d.Code, c.want)
		}
	}
}

func TestHeuristic(t *testing.T) {
	for _, c := range []struct {
		f    policy.Features
		want float64
	}{
		{policy.Features{}, 0.20 + 0.10},
		{policy.Features{Reward: ptr(economy.DIG / 10), Tier: 1, Requests24h: 100}, 1},
		{policy.Features{Reward: ptr(economy.DIG), MinReward: economy.DIG, Tier: 4, Providers: 5,
			Requests24h: 50, AgeSeconds: 30 * 24 * 60 * 60},
			0.35*0.1 + 0.25*0.5 + 0.20*0.5 + 0.10*0.5 + 0.10*0.5},
		{policy.Features{Reward: ptr(-economy.DIG), Tier: 9, Providers: -1, AgeSeconds: -1}, 0.3},
	} {
		s, err := policy.Heuristic{}.Score(t.Context(), c.f)
		if err != nil || math.Abs(s.Value-c.want) > 1e-9 || s.Model != policy.HeuristicModel {
			t.Errorf("%+v: %+v, %v, expected %v", c.f, s, err, c.want)
		}
	}
}

func TestNew(t *testing.T) {
	named := policy.Config{Filter: "content_value_model_v2"}
	p, err := policy.New(named, nil)
	if err != nil || p.Unresolved() != named.Filter {
		t.Errorf("a scorer that is not there: %q, %v", p.Unresolved(), err)
	}
	cand := candidate()
	cand.Tier, cand.Reward = 1, ptr(100*economy.DIG)
	if d := p.Decide(t.Context(), cand, roomy()); !d.Accept || d.Score.Model != policy.HeuristicModel {
		t.Errorf("%+v, expected the score of %s", d, policy.HeuristicModel)
	}
	builtIn, err := policy.New(policy.Config{Filter: policy.HeuristicModel}, nil)
	if err != nil || builtIn.Unresolved() != "" {
		t.Errorf("the built-in scorer: %q, %v", builtIn.Unresolved(), err)
	}
	for name, f := range map[string]policy.Filter{
		"threshold": {Scorer: policy.Heuristic{}, Threshold: 1.1},
		"negative":  {Scorer: policy.Heuristic{}, Threshold: -0.1},
		"NaN":       {Scorer: policy.Heuristic{}, Threshold: math.NaN()},
		"on_error":  {Scorer: policy.Heuristic{}, OnError: "panic"},
		"no scorer": {},
	} {
		_, err := policy.New(named, map[string]policy.Filter{named.Filter: f})
		if !errors.Is(err, policy.ErrSettings) {
			t.Errorf("%s: %v, expected ErrSettings", name, err)
		}
	}
}

func TestWorth(t *testing.T) {
	r := economy.DefaultRates()
	r.EpochBlocks, r.BlockTime = 10, 24*time.Hour // an epoch of ten days
	if got := policy.Expected(r, 4, []uint32{16 << 20, 16 << 20}, 3); got != 200 {
		t.Errorf("expected %v a day, wanted 0.2", got)
	}
	offers := []economy.Bribe{{RewardPerTB: 10 * economy.DIG}}
	usage := economy.Usage{Held: 1, Total: 1, Bytes: 1e12}
	if got := policy.Bribes(r, offers, usage); got != economy.DIG {
		t.Errorf("bribes %v a day, wanted 1", got)
	}
	if got := policy.PerDay(economy.DIG, 0); got != 0 {
		t.Errorf("without an epoch: %v", got)
	}
}

func Example() {
	settings, err := policy.ParseSettings([]byte(`{"mode": "selective", "whitelist": ["my*"]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	config, err := settings.Resolve()
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := policy.New(config, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	d := p.Decide(context.Background(),
		policy.Candidate{Handle: "yourdata", Size: 1000, Origin: policy.Push},
		policy.State{Capacity: 100e9, Free: 50e9, MaxPlots: -1})
	fmt.Print(d.Explain())
	// Output:
	//  1 origin       pass   origin push
	//  2 blacklist    pass   no pattern matches
	//  3 tombstone    pass   the root is not revoked
	//  4 capacity     pass   1000 bytes, room for 45000000000
	//  5 whitelist    pass   no pattern matches, neither pinned nor tracked
	//  6 selection    reject no list names it
	// => not_whitelisted: no list names it
}

// A policy that was replaced decides as the other, also while it is asked.
func TestReplace(t *testing.T) {
	made := func(s policy.Settings) *policy.Policy {
		c, err := s.Resolve()
		if err != nil {
			t.Fatal(err)
		}
		p, err := policy.New(c, nil)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := made(policy.ArchiveSettings())
	c := policy.Candidate{Origin: policy.Push}
	s := policy.State{Capacity: 1 << 40, Free: 1 << 40, MaxPlots: -1}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				d := p.Decide(t.Context(), c, s)
				if d.Accept != (d.Code == policy.CodeDefault) {
					t.Errorf("mixed decision %+v", d)
				}
			}
		})
	}
	p.Replace(made(policy.Settings{AIFilter: new(string)}))
	wg.Wait()
	if d := p.Decide(t.Context(), c, s); d.Accept || d.Code != policy.CodeNotWhitelisted {
		t.Errorf("got %+v", d)
	}
	if p.Config().Mode != policy.Selective || !p.MayDrop(0) || p.Unresolved() != "" {
		t.Errorf("got %+v", p.Config())
	}
}
