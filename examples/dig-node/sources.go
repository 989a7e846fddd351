package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/auth/chain"
	"github.com/dig-network/digstore/examples/dig-node/internal/config"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node"
	"github.com/dig-network/digstore/node/api"
	"github.com/dig-network/digstore/node/economy"
	"github.com/dig-network/digstore/node/files"
	"github.com/dig-network/digstore/node/policy"
	"github.com/dig-network/digstore/node/prom"
	"github.com/dig-network/digstore/node/push"
	"github.com/dig-network/digstore/node/storage"
	"github.com/dig-network/digstore/node/tier"
)

// sources are the external sources of data of the node. Those that are not configured are nil.
type sources struct {
	access  *files.Access
	chain   *chain.Resolver
	handles *files.Handles
	rewards *files.Rewards
	bribes  *files.Bribes
	storage storage.Storage
}

// A follower is a source that is a file.
type follower interface {
	Run(ctx context.Context) error
	Refresh() error
}

func newSources(c *config.Config, log *slog.Logger, st storage.Storage) (s *sources, err error) {
	s = &sources{storage: st}
	o := &files.Options{Logger: log}
	if name := c.Access.File; name != "" {
		if s.access, err = files.OpenAccess(name, o); err != nil {
			return nil, fmt.Errorf("access.file: %w", err)
		}
	}
	if name := c.Handles.File; name != "" {
		if s.handles, err = files.OpenHandles(name, o); err != nil {
			return nil, fmt.Errorf("handles.file: %w", err)
		}
	}
	if name := c.Rewards.File; name != "" {
		if s.rewards, err = files.OpenRewards(name, o); err != nil {
			return nil, fmt.Errorf("rewards.file: %w", err)
		}
	}
	if name := c.Bribes.File; name != "" {
		if s.bribes, err = files.OpenBribes(name, o); err != nil {
			return nil, fmt.Errorf("bribes.file: %w", err)
		}
	}
	s.chain, err = newChain(c)
	return s, err
}

// newChain returns the resolver of section chain, nil without one. It makes no request yet.
func newChain(c *config.Config) (*chain.Resolver, error) {
	o := &chain.RPCOptions{UserAgent: "dig-node/" + buildVersion().Version}
	var source chain.Source
	var err error
	switch c.Chain.Source {
	case "":
		return nil, nil
	case "full_node":
		folder := c.Chain.Cert
		if folder == "" {
			folder = chiaFolder(os.Getenv("CHIA_ROOT"))
		}
		source, err = chain.NewFullNode(c.Chain.URL, folder, o)
	default:
		source, err = chain.NewRPC(c.Chain.URL, o)
	}
	if err != nil {
		return nil, fmt.Errorf("chain: %w", err)
	}
	dir := filepath.Join(c.Node.DataDir, "chain")
	return chain.NewResolver(chain.NewCached(source, dir, 0), &chain.Options{Network: c.Chain.Network,
		Memory: chain.NewDir(filepath.Join(dir, "seen"))}), nil
}

// followers returns the sources that are files.
func (s *sources) followers() (all []follower) {
	if s.access != nil {
		all = append(all, s.access)
	}
	if s.handles != nil {
		all = append(all, s.handles)
	}
	if s.rewards != nil {
		all = append(all, s.rewards)
	}
	if s.bribes != nil {
		all = append(all, s.bribes)
	}
	return all
}

// writers returns the sources of writers: the file, and then the chain. It is nil without both.
func (s *sources) writers() push.Access {
	if s.access == nil && s.chain == nil {
		return nil
	}
	return writers{s}
}

type writers struct{ *sources }

// MayWrite implements push.Access.
func (w writers) MayWrite(ctx context.Context, store auth.StoreID, key auth.PublicKey) error {
	if w.access != nil {
		err := w.access.MayWrite(ctx, store, key)
		if w.chain == nil || !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	role, err := w.chain.CanWrite(ctx, store, key)
	switch {
	case errors.Is(err, chain.ErrStoreNotFound):
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	case errors.Is(err, chain.ErrMelted):
		return fmt.Errorf("%w: %w", auth.ErrForbidden, err)
	case err != nil:
		return err // also for a key that has write access in a block that may vanish
	case !role.MayWrite():
		return fmt.Errorf("key %v has no write access on the chain: %w", key, auth.ErrForbidden)
	}
	return nil
}

// Owner implements push.Access. The chain has hashes of keys, so it names none.
func (w writers) Owner(ctx context.Context, store auth.StoreID) (auth.PublicKey, error) {
	if w.access == nil {
		return auth.PublicKey{}, fmt.Errorf("owner of datastore %v: %w", store, fs.ErrNotExist)
	}
	return w.access.Owner(ctx, store)
}

func (s *sources) names() api.Handles {
	if s.handles == nil {
		return nil
	}
	return s.handles
}

func (s *sources) earnings() node.Rewards {
	if s.rewards == nil {
		return nil
	}
	return s.rewards
}

// leastSize is the assumed size of a datastore that is not held: one capsule.
const leastSize = 16 << 20

// facts returns external data about a datastore.
func (s *sources) facts(ctx context.Context, store auth.StoreID) (f tier.Facts, err error) {
	if s.handles != nil {
		f.Handle, f.Tier = s.handles.Best(store)
	}
	if s.rewards != nil {
		if reward, known := s.rewards.Expected(store); known {
			f.Reward = &reward
		}
	}
	if s.bribes == nil {
		return f, nil
	}
	offers, err := s.bribes.Offers(ctx, store)
	if err != nil || len(offers) == 0 {
		return f, err
	}
	// Estimate the earnings if the node held all of it.
	usage := economy.Usage{Held: 1, Total: 1, Bytes: leastSize, Uptime: 1}
	if g, err := s.storage.Generation(ctx, store, merkle.Hash{}); err == nil {
		usage.Bytes = max(usage.Bytes, uint64(g.Manifest.Size()))
	}
	f.Bribe = policy.Bribes(economy.DefaultRates(), offers, usage)
	return f, nil
}

// money fills in the earnings from the sources.
func (s *sources) money(ctx context.Context, to *prom.Snapshot) {
	if s.rewards == nil {
		return
	}
	totals, err := s.rewards.Totals(ctx)
	if err != nil {
		return
	}
	day := s.rewards.LastDay()
	to.Earned, to.Bribes, to.Pending = totals.Total, totals.Bribes, totals.Pending
	to.EarnedLastDay = &day
}
