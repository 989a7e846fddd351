package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/examples/dig-node/internal/config"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/node/economy"
	"github.com/dig-network/digstore/node/policy"
	"github.com/dig-network/digstore/node/policy/scorer"
)

// newPolicy returns the policy of a configuration. The caller calls done when the policy is no
// longer used.
func newPolicy(c *config.Config, path string) (p *policy.Policy, done func(), err error) {
	s, err := c.Settings()
	if err != nil {
		return nil, nil, err
	}
	resolved, err := s.Resolve()
	if err != nil {
		return nil, nil, err
	}
	filters, done, err := filters(c, path)
	if err != nil {
		return nil, nil, err
	}
	p, err = policy.New(resolved, filters)
	if err != nil {
		done()
		return nil, nil, err
	}
	return p, done, nil
}

// filters returns the scorers of a configuration. path is the variable PATH of those that are
// programs.
func filters(c *config.Config, path string) (map[string]policy.Filter, func(), error) {
	all := map[string]policy.Filter{}
	var open []*scorer.HTTP
	done := func() {
		for _, s := range open {
			s.Close()
		}
	}
	for name, one := range c.Policy.Scorers {
		var made policy.Scorer
		switch one.Kind {
		case "http":
			s, err := scorer.NewHTTP(one.URL, nil)
			if err != nil {
				done()
				return nil, nil, err
			}
			open = append(open, s)
			made = s
		default:
			s, err := scorer.NewExec(one.Argv, &scorer.ExecOptions{Path: path})
			if err != nil {
				done()
				return nil, nil, err
			}
			made = s
		}
		if one.CacheTTL > 0 {
			made = scorer.NewCached(made, time.Duration(one.CacheTTL), nil)
		}
		all[name] = policy.Filter{Scorer: made, Threshold: one.Threshold, OnError: one.OnError}
	}
	return all, done, nil
}

// candidateFlags describe a store that the node may accept.
type candidateFlags struct {
	handle, origin, reward, bribe, size, free string
	tier, providers                           int
	capsules, requests                        uint64
	age                                       time.Duration
	pinned, tracked                           bool
}

func (a *app) policyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Explain what the node takes and keeps",
		Args:  noSubcommand,
		RunE:  only,
	}
	var f candidateFlags
	explain := &cobra.Command{
		Use:   "explain STORE",
		Short: "Print what each rule says about a store",
		Long: `Explain prints what each rule of the policy says about a store that the flags
describe, and the decision. It asks the scorer of the configuration, if there is
one, and no running node.`,
		Example: `  dig-node policy explain STORE_ID
  dig-node policy explain STORE_ID --handle news --size 2GiB --providers 7`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.explain(cmd.Context(), args[0], &f)
		},
	}
	flags := explain.Flags()
	flags.StringVar(&f.handle, "handle", "", "the `NAME` of the store; its length gives the tier")
	flags.StringVar(&f.origin, "origin", "push", "local, push, gossip, repair or fetch (`ORIGIN`)")
	flags.IntVar(&f.tier, "tier", -1, "the tier `N` of the store, 0 to 6")
	flags.StringVar(&f.size, "size", "0", "the `SIZE` of the generation, as in 2GiB")
	flags.Uint64Var(&f.capsules, "capsules", 1, "the number `N` of capsules")
	flags.IntVar(&f.providers, "providers", 0, "`N` others hold it")
	flags.StringVar(&f.reward, "reward", "", "the expected reward in `DIG` a day; none: not known")
	flags.StringVar(&f.bribe, "bribe", "0", "the bribe in `DIG` a day")
	flags.DurationVar(&f.age, "age", 0, "the age of the generation (`TIME`)")
	flags.Uint64Var(&f.requests, "requests", 0, "`N` requests in the last 24 hours")
	flags.BoolVar(&f.pinned, "pinned", false, "the store is pinned")
	flags.BoolVar(&f.tracked, "tracked", false, "the store is tracked")
	flags.StringVar(&f.free, "free", "", "free `SPACE`; none: that of the disk")
	cmd.AddCommand(explain)
	return cmd
}

func (a *app) explain(ctx context.Context, store string, f *candidateFlags) error {
	cand, err := f.candidate(store)
	if err != nil {
		return err
	}
	c, err := a.load()
	if err != nil {
		return err
	}
	state, err := f.state(c)
	if err != nil {
		return err
	}
	p, done, err := newPolicy(c, a.variable("PATH"))
	if err != nil {
		return err
	}
	defer done()
	d := p.Decide(ctx, cand, state)
	type rule struct {
		Rule    int            `json:"rule"`
		Name    string         `json:"name"`
		Verdict policy.Verdict `json:"verdict"`
		Detail  string         `json:"detail"`
	}
	v := struct {
		Accept   bool     `json:"accept"`
		Code     string   `json:"code"`
		Reason   string   `json:"reason"`
		Target   string   `json:"target,omitempty"`
		Rules    []rule   `json:"rules"`
		Warnings []string `json:"warnings,omitempty"`
	}{d.Accept, d.Code, d.Reason, d.Target, nil, d.Warnings}
	for _, r := range d.Trace {
		v.Rules = append(v.Rules, rule{r.Rule, r.Name, r.Verdict, r.Detail})
	}
	return a.answer(v, func(w io.Writer) {
		verdict := "refused"
		if d.Accept {
			verdict = "accepted, to " + d.Target
		}
		fmt.Fprintf(w, "%s%s\n", d.Explain(), verdict)
		for _, warning := range d.Warnings {
			fmt.Fprintf(w, "warning: %s\n", warning)
		}
	})
}

func (f *candidateFlags) candidate(store string) (c policy.Candidate, err error) {
	bad := func(name string, err error) (policy.Candidate, error) {
		return c, usage("dig-node policy explain --help describes the flags", "%s: %w", name, err)
	}
	id, err := hex.DecodeString(strings.TrimPrefix(store, "0x"))
	if err != nil || len(id) != len(c.Store) {
		return bad("STORE", fmt.Errorf("expected 64 hex digits, found %d characters", len(store)))
	}
	c = policy.Candidate{Store: economy.ID(id), Handle: strings.TrimSuffix(f.handle, ".dig"),
		Tier: economy.TierOf(f.handle), Capsules: f.capsules, Origin: policy.Origin(f.origin),
		Providers: f.providers, Age: f.age, Requests24h: f.requests}
	switch c.Origin {
	case policy.Local, policy.Push, policy.Gossip, policy.Repair, policy.Fetch:
	default:
		return bad("--origin", fmt.Errorf("found %q", f.origin))
	}
	if f.tier > int(economy.MaxTier) {
		return bad("--tier", fmt.Errorf("expected 0 to %d, found %d", economy.MaxTier, f.tier))
	}
	if f.tier >= 0 {
		c.Tier = economy.Tier(f.tier)
	}
	if c.Size, err = parseSize(f.size); err != nil {
		return bad("--size", err)
	}
	if c.Bribe, err = economy.ParseAmount(f.bribe); err != nil {
		return bad("--bribe", err)
	}
	if f.reward != "" {
		reward, err := economy.ParseAmount(f.reward)
		if err != nil {
			return bad("--reward", err)
		}
		c.Reward = &reward
	}
	return c, nil
}

func parseSize(text string) (uint64, error) {
	var n uint64
	if _, err := fmt.Sscanf(text+"\n", "%d\n", &n); err == nil {
		return n, nil
	}
	size, err := policy.ParseCacheSize(text)
	if err == nil && size.Bytes == 0 {
		err = fmt.Errorf("expected a size, found %q", text)
	}
	return size.Bytes, err
}

// state returns the state of the node, with the free space of the disk.
func (f *candidateFlags) state(c *config.Config) (s policy.State, err error) {
	s = policy.State{Pinned: f.pinned, Tracked: f.tracked, MaxPlots: c.Storage.MaxPlots}
	if s.MaxPlots == 0 {
		s.MaxPlots = -1 // plots are disabled; this is not a lack of room
	}
	if f.free == "" {
		free, err := freeSpace(c.Storage.PlotsDir[0].Path)
		if err != nil {
			return s, err
		}
		s.Free = uint64(free)
	} else if s.Free, err = parseSize(f.free); err != nil {
		return s, usage("as in --free 100GiB", "--free: %w", err)
	}
	s.Capacity = c.Storage.Capacity.Of(s.Free)
	return s, nil
}

// freeSpace returns the bytes that are free for a folder, which need not exist yet.
func freeSpace(dir string) (int64, error) {
	for {
		_, err := os.Stat(dir)
		if err == nil || filepath.Dir(dir) == dir {
			break
		}
		dir = filepath.Dir(dir)
	}
	n, err := diskfs.Free(dir)
	if err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return min(n, math.MaxInt64), nil
}
