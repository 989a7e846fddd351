package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule/cache"
	"github.com/dig-network/digstore/examples/dig-node/internal/config"
	"github.com/dig-network/digstore/examples/dig-node/internal/keyfile"
	"github.com/dig-network/digstore/examples/dig-node/internal/machine"
	"github.com/dig-network/digstore/node"
	"github.com/dig-network/digstore/node/api"
	"github.com/dig-network/digstore/node/economy"
	"github.com/dig-network/digstore/node/prom"
	"github.com/dig-network/digstore/node/storage"
	"github.com/dig-network/digstore/node/tier"
	"github.com/dig-network/digstore/plot"
)

// parts are the parts of a node and of the program around it.
type parts struct {
	config  node.Config
	key     *auth.NodeKey
	node    *node.Node
	storage *storage.Dir
	sources *sources
	doors   *doors
	metrics *prom.Collector
	passed  atomic.Uint64  // challenges that were answered
	failed  atomic.Uint64  // challenges that failed
	close   []func() error // in the order of opening
}

// Close closes what newParts has opened, the last first.
func (p *parts) Close() error {
	var errs []error
	for i := len(p.close) - 1; i >= 0; i-- {
		errs = append(errs, p.close[i]())
	}
	p.close = nil
	return errors.Join(errs...)
}

// newParts makes the parts of a node from a configuration. It starts no goroutine.
func (a *app) newParts(c *config.Config, log *slog.Logger) (p *parts, err error) {
	p = &parts{}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	if err := p.secrets(c, log); err != nil {
		return p, err
	}
	dir := filepath.Join(c.Storage.PlotsDir[0].Path, "capsules")
	if p.storage, err = storage.OpenDir(dir, nil); err != nil {
		return p, fmt.Errorf("open storage: %w", err)
	}
	p.close = append(p.close, p.storage.Close)
	if p.sources, err = newSources(c, log, p.storage); err != nil {
		return p, err
	}
	policy, done, err := newPolicy(c, a.variable("PATH"))
	if err != nil {
		return p, err
	}
	p.close = append(p.close, func() error { done(); return nil })
	p.metrics = prom.New(p.snapshot, &prom.Options{SeedNames: c.Monitoring.SeedNames})
	p.config = node.Config{
		Key: p.key, Storage: p.storage, DataDir: c.Node.DataDir, Version: buildVersion().Version,
		Policy: policy, Access: p.sources.writers(), Handles: p.sources.names(),
		Rewards: p.sources.earnings(), Facts: p.sources.facts,
		Volumes: volumes(c), Cache: cacheOptions(c), Tiers: tierSettings(c),
		Validators: validators(c), NoMinimal: !c.Validation.MinimalForm,
		MaxWorkBits: c.Validation.MaxWorkBits,
		Admin:       p.doors.gate.Wrap, Credential: p.doors.credential,
		Limits: limits(c), TrustedProxies: proxies(c), AdminOrigins: c.Network.CORSAdminOrigins,
		HTTPPort: port(c.Network.API),
		Drain:    time.Duration(c.Shutdown.Delay), Grace: time.Duration(c.Shutdown.Grace),
		Logger: log, Observe: p.observe,
	}
	return p, p.openStores(c, log)
}

// start makes the node.
func (p *parts) start(ctx context.Context) error {
	n, err := node.New(ctx, p.config)
	if err != nil {
		return err
	}
	p.node = n
	return nil
}

// secrets reads, or makes, the key and the token.
func (p *parts) secrets(c *config.Config, log *slog.Logger) error {
	key, made, err := keyfile.LoadKey(c.Node.DataDir)
	if err != nil {
		return err
	}
	if made {
		log.Info("key_made", "component", "config", "public_key", key.PublicKey())
	}
	if id := c.Node.ID; id != "" && id != key.String() {
		return usage("remove node.id, or restore the key",
			"node.id: expected %s, the id of the key (got %s)", key, id)
	}
	token, _, err := keyfile.LoadToken(c.Node.DataDir)
	if err != nil {
		return err
	}
	p.key = key
	p.doors, err = newDoors(c, token)
	return err
}

func volumes(c *config.Config) []tier.Volume {
	var all []tier.Volume
	for _, dir := range c.Storage.PlotsDir {
		v := tier.Volume{Path: dir.Path, Class: economy.SSD}
		if dir.Class == "hdd" {
			v.Class = economy.HDD
		}
		all = append(all, v)
	}
	return all
}

// cacheOptions returns the sizes of the caches. Without a size, L1 is a tenth of the memory.
func cacheOptions(c *config.Config) cache.Options {
	o := cache.Options{Memory: int64(c.Cache.Memory.Bytes)}
	if !c.Cache.Memory.Set {
		o.Memory, _ = machine.Memory() // unknown: the default of package cache
	}
	size := func(l config.Limit) int64 {
		if l.Set && l.Bytes == 0 {
			return -1 // off
		}
		return int64(l.Bytes)
	}
	o.L1, o.L2 = size(c.Cache.L1), size(c.Cache.L2)
	backing := c.Cache.L2Backing
	if c.Storage.CacheDir != "" && backing != "memory" {
		o.Dir = c.Storage.CacheDir
		if o.L2 == 0 {
			o.L2 = l2Size(c)
		}
	}
	if o.Prefetch = c.Cache.Prefetch; o.Prefetch == 0 {
		o.Prefetch = -1
	}
	if c.Cache.Policy == "lru" {
		o.L2Policy = cache.NewLRU
	}
	return o
}

const maxL2 = 1e12 // bytes, unless a size is given

// l2Size returns the size of a cache on disk that policy.cache_size gives.
func l2Size(c *config.Config) int64 {
	s, err := c.Settings()
	if err != nil {
		return 0
	}
	resolved, err := s.Resolve()
	if err != nil {
		return 0
	}
	free, err := freeSpace(c.Storage.CacheDir)
	if err != nil {
		return 0
	}
	size := config.Share{CacheSize: resolved.CacheSize}
	return int64(min(size.Of(uint64(free)), maxL2))
}

func tierSettings(c *config.Config) tier.Settings {
	s := c.Storage
	t := tier.Settings{
		KeepGenerations: s.KeepGenerations, ReviewInterval: time.Duration(c.Policy.ReviewInterval),
		AutoPlot: s.AutoPlot.Or(c.Node.Mode != "cache"), PlotBytes: int64(s.AutoPlotBytes),
		PlotAge: time.Duration(s.AutoPlotAge), MaxPlots: s.MaxPlots,
		Compression: plot.Compression(s.Compression), Difficulty: s.Difficulty,
		PlotWorkers: s.PlotWorkers, Release: !s.KeepPacks,
		ScrubInterval: time.Duration(s.ScrubInterval),
	}
	if t.MaxPlots == 0 {
		t.MaxPlots = -1
	}
	if t.Difficulty == 0 {
		t.Difficulty = -1
	}
	return t
}

func validators(c *config.Config) []auth.NodePublicKey {
	var all []auth.NodePublicKey
	for _, text := range c.Validation.TrustedValidators {
		if k, err := auth.ParseNodePublicKey(text); err == nil { // the configuration was checked
			all = append(all, k)
		}
	}
	return all
}

func limits(c *config.Config) node.Limits {
	l := c.RateLimits
	keys := map[string]float64{}
	for _, k := range c.Auth.APIKeys {
		keys[string(k.Key)] = k.Multiplier
	}
	return node.Limits{
		Callers: api.Limits{Capsules: bucket(l.CapsuleRetrieval),
			Challenges: bucket(l.ValidationChallenge), Requests: bucket(l.APIRequests), Keys: keys},
		MaxChallenges: c.Validation.MaxConcurrent, UploadRate: int64(c.Network.MaxUploadBPS),
	}
}

func bucket(b config.Bucket) api.Bucket {
	if b.PerMinute == 0 {
		return api.Bucket{PerMinute: -1}
	}
	return api.Bucket{PerMinute: float64(b.PerMinute), Burst: b.Burst}
}

func proxies(c *config.Config) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range c.Network.TrustedProxies {
		if p, err := netip.ParsePrefix(text); err == nil {
			all = append(all, p)
		} else if ip, err := netip.ParseAddr(text); err == nil {
			all = append(all, netip.PrefixFrom(ip, ip.BitLen()))
		}
	}
	return all
}

// port returns the port of an address, 0 for none.
func port(address string) int {
	_, text, err := net.SplitHostPort(address)
	n, numErr := strconv.Atoi(text)
	if err != nil || numErr != nil {
		return 0
	}
	return n
}

// snapshot is the source of the metrics.
func (p *parts) snapshot(ctx context.Context) (*prom.Snapshot, error) {
	if p.node == nil {
		return nil, errors.New("the node does not run yet")
	}
	st, err := p.node.Status(ctx)
	if err != nil {
		return nil, err
	}
	s := &prom.Snapshot{
		StorageUsed: st.Storage.UsedBytes, StorageCapacity: st.Storage.CapacityBytes,
		Capsules: st.Storage.Capsules, Datastores: st.Storage.Stores,
		Generations: st.Storage.Generations, Plots: st.Plots.Count, PlotsBytes: st.Plots.TotalSize,
		Quarantined: st.Storage.Quarantined, Sessions: st.Sessions.Count,
		StagedBytes: st.Sessions.StagedBytes, Peers: st.Network.Peers,
		CacheL1: st.Cache.L1Bytes, CacheL2: st.Cache.L2Bytes,
		CacheRequests: map[string]uint64{"l1_hit": st.Cache.L1Hits, "l2_hit": st.Cache.L2Hits,
			"disk_read": st.Cache.DiskReads},
		RateLimited: map[string]uint64{}, Process: machine.Process(), Version: st.Version,
		Started: st.StartedAt,
	}
	for name, u := range st.Callers {
		s.RateLimited[name] = u.Refused
	}
	value := func(name string) float64 {
		if v := st.Metrics[name]; v != nil {
			return *v
		}
		return 0
	}
	s.CapsulesStored = uint64(value("capsule_count"))
	s.Received, s.Sent = int64(value("bandwidth_in")), int64(value("bandwidth_out"))
	all := float64(st.Network.Validations24h)
	s.Passed24h = int(math.Round(value("validation_success_rate") * all))
	s.Failed24h = st.Network.Validations24h - s.Passed24h
	s.Passed, s.Failed = p.passed.Load(), p.failed.Load()
	p.sources.money(ctx, s)
	return s, nil
}

// observe counts a request that has been answered.
func (p *parts) observe(r api.Request) {
	p.metrics.ObserveRequest(r)
	if r.Route != "/validation/challenge" {
		return
	}
	switch {
	case r.Status == http.StatusOK:
		p.passed.Add(1)
		p.metrics.ObserveProof("http", r.Duration)
	case r.Status >= http.StatusInternalServerError:
		p.failed.Add(1)
	}
}

// registry returns a registry with the metrics of the node, of Go and of the process.
func (p *parts) registry() (*prometheus.Registry, error) {
	r := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{p.metrics, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return r, nil
}

var _ io.Closer = (*parts)(nil)
