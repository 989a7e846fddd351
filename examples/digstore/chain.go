package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
)

// chainFlags say where the chain is read. The defaults are in the user's
// configuration; see digstore anchor use.
type chainFlags struct {
	sources  []string
	network  string
	chiaRoot string
	depth    uint32
}

func (f *chainFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.sources, "chain", nil,
		"accept only the root that this chain `SOURCE` names: "+
			"a URL, full-node, full-node=URL, or none; may be repeated, then the sources must agree")
	flags.StringVar(&f.network, "network", "", "the `NAME` of the chain's network (default: mainnet)")
	flags.StringVar(&f.chiaRoot, "chia-root", "",
		"the `DIR` with a full node's certificates (default: $CHIA_ROOT, else ~/.chia/mainnet)")
	flags.Uint32Var(&f.depth, "depth", 0,
		"how many blocks (`N`) must confirm a root (default: 1; settled are 32)")
	_ = cmd.MarkFlagDirname("chia-root")
	_ = cmd.RegisterFlagCompletionFunc("chain",
		cobra.FixedCompletions([]cobra.Completion{"full-node", "none"}, noFiles))
}

// resolver returns the resolver for the sources of the flags, or else of the
// configuration. It is nil if neither names one. Nothing is requested yet.
func (a *app) resolver(f *chainFlags) (*chain.Resolver, error) {
	c, err := readConfig()
	if err != nil {
		return nil, err
	}
	sources, network, root := c.Chain.Sources, c.Chain.Network, c.Chain.ChiaRoot
	if len(f.sources) > 0 {
		sources = f.sources
	}
	if f.network != "" {
		network = f.network
	}
	for _, dir := range []string{f.chiaRoot, root, os.Getenv("CHIA_ROOT")} {
		if root = dir; root != "" {
			break
		}
	}
	if slices.Contains(sources, "none") {
		if len(sources) > 1 {
			return nil, usage("give either none or other sources",
				"--chain none cannot be combined with other sources")
		}
		return nil, nil
	}
	if len(sources) == 0 {
		return nil, nil
	}
	dir, err := configDir()
	if err != nil {
		return nil, err
	}
	kept := filepath.Join(dir, "chain")
	var list []chain.Source
	for _, name := range sources {
		s, err := a.source(name, root)
		if err != nil {
			return nil, err
		}
		list = append(list, chain.NewCached(s, filepath.Join(kept, cacheName(network, name)), 0))
	}
	source := list[0]
	if len(list) > 1 {
		if source, err = chain.NewQuorum(list, nil); err != nil {
			return nil, err
		}
	}
	return chain.NewResolver(source, &chain.Options{
		Network: network, MinDepth: f.depth,
		Memory: chain.NewDir(filepath.Join(kept, "seen-"+orMainnet(network))),
	}), nil
}

// required is resolver for commands that need the chain.
func (a *app) required(f *chainFlags) (*chain.Resolver, error) {
	r, err := a.resolver(f)
	if err == nil && r == nil {
		err = usage("use --chain URL or --chain full-node, or set one with: digstore anchor use URL",
			"no chain source is configured")
	}
	return r, err
}

// source returns the chain source with that name.
func (a *app) source(name, chiaRoot string) (chain.Source, error) {
	o := &chain.RPCOptions{UserAgent: userAgent(), OnRetry: a.noteRetry}
	kind, base, _ := strings.Cut(name, "=")
	if kind != "full-node" {
		s, err := chain.NewRPC(name, o)
		if err != nil {
			return nil, usage("a source is an https URL, full-node, full-node=URL or none", "--chain: %w",
				err)
		}
		return s, nil
	}
	if chiaRoot == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, err
		}
		chiaRoot = filepath.Join(home, ".chia", "mainnet")
	}
	s, err := chain.NewFullNode(base, chiaRoot, o)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &hinted{err, "start the full node once, or name its folder with --chia-root DIR"}
	}
	return s, err
}

// cacheName returns the name of the cache folder of a source.
func cacheName(network, source string) string {
	host := source
	if u, err := url.Parse(source); err == nil && u.Hostname() != "" {
		host = u.Hostname()
	}
	sum := sha256.Sum256([]byte(source))
	return fmt.Sprintf("%s-%.40s-%x", orMainnet(network), strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '_'
	}, host), sum[:4])
}

func orMainnet(network string) string {
	if network == "" {
		return chain.Mainnet
	}
	return filepath.Base(network)
}

// anchored is the part of command output that describes a tip on the chain.
type anchored struct {
	Status chain.Status `json:"status"`
	Height uint32       `json:"height"`
	Depth  uint32       `json:"depth"`
	Peak   uint32       `json:"peak"`
	Trust  chain.Trust  `json:"trust"`
	Source string       `json:"source"`
	// index in the lineage; absent if not requested
	Generation *int `json:"generation,omitempty"`
}

func newAnchored(t *chain.Tip) *anchored {
	v := &anchored{
		Status: t.Status, Height: t.Height, Depth: t.Depth, Peak: t.Peak.Height,
		Trust: t.Trust, Source: t.Source,
	}
	if t.Generation >= 0 {
		v.Generation = &t.Generation
	}
	return v
}

// String describes the tip in one line.
func (v *anchored) String() string {
	return fmt.Sprintf("%s in block %d, %s deep, by %s (%s)", v.Status, v.Height,
		plural(int(v.Depth), "block", "blocks"), v.Source, v.Trust)
}

// anchorOf returns the tip of a store, which the resolver usually has in memory. It
// is nil without a resolver.
func (a *app) anchorOf(ctx context.Context, r *chain.Resolver,
	store auth.StoreID) (*anchored, error) {
	if r == nil {
		return nil, nil
	}
	t, err := r.Tip(ctx, store)
	if err != nil {
		return nil, err
	}
	v := newAnchored(t)
	if t.Status == chain.StatusShallow {
		a.warn("this root is %s deep on the chain and may still vanish",
			plural(int(t.Depth), "block", "blocks"))
	}
	return v, nil
}
