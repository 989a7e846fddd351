package node

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/node/api"
	"github.com/dig-network/digstore/node/policy"
)

// checkEvery is the time between two write checks.
const checkEvery = 10 * time.Second

// failuresAllowed is the number of consecutive failed checks after which the node is unhealthy.
const failuresAllowed = 3

// vitals has the results of the last checks.
type vitals struct {
	mu       sync.Mutex
	failures int
	err      error
	checked  time.Time
}

// check writes a file to each directory of the node.
func (n *Node) check() {
	var err error
	for _, dir := range n.writable() {
		name := filepath.Join(dir, ".probe")
		if err = os.WriteFile(name, []byte("probe"), 0o600); err == nil {
			err = os.Remove(name)
		}
		if err != nil {
			break
		}
	}
	n.vitals.mu.Lock()
	defer n.vitals.mu.Unlock()
	n.vitals.err, n.vitals.checked = err, time.Now()
	if err == nil {
		n.vitals.failures = 0
	} else {
		n.vitals.failures++
	}
}

// writable returns the directories that must be writable.
func (n *Node) writable() []string {
	var dirs []string
	if n.c.DataDir != "" {
		dirs = append(dirs, n.c.DataDir)
	}
	return dirs
}

// Liveness implements api.Vitals.
func (n *Node) Liveness() []api.Check {
	n.vitals.mu.Lock()
	defer n.vitals.mu.Unlock()
	writes := api.Check{Name: "data_dir", Passed: n.vitals.failures < failuresAllowed}
	if !writes.Passed {
		writes.Detail = "cannot be written"
	}
	checks := []api.Check{writes}
	if n.indexed.Load() && !n.leaving.Load() && !n.vitals.checked.IsZero() {
		stuck := time.Since(n.vitals.checked) > time.Minute
		checks = append(checks, api.Check{Name: "housekeeping", Passed: !stuck,
			Detail: "no check for a minute"})
	}
	return checks
}

// Readiness implements api.Vitals.
func (n *Node) Readiness() []api.Check {
	checks := []api.Check{
		{Name: "index", Passed: n.indexed.Load(), Detail: "is being read"},
		{Name: "serving", Passed: !n.leaving.Load(), Detail: "is shutting down"},
	}
	available := api.Check{Name: "storage", Passed: true}
	if err := n.tiers.Available(); err != nil {
		available.Passed, available.Detail = false, "a volume is away"
	}
	return append(checks, available)
}

// Draining implements api.Vitals.
func (n *Node) Draining() bool { return n.draining.Load() }

// Uptime implements api.Vitals.
func (n *Node) Uptime() time.Duration { return time.Since(n.started) }

// validations counts the challenges of the last 24 hours by the hour.
type validations struct {
	mu    sync.Mutex
	hours [24]struct {
		hour   int64
		passed int
		failed int
	}
}

func (v *validations) add(now time.Time, passed bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	hour := now.Unix() / 3600
	h := &v.hours[hour%24]
	if h.hour != hour {
		h.hour, h.passed, h.failed = hour, 0, 0
	}
	if passed {
		h.passed++
	} else {
		h.failed++
	}
}

// counts returns the challenges of the last 24 hours.
func (v *validations) counts(now time.Time) (passed, failed int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	hour := now.Unix() / 3600
	for _, h := range v.hours {
		if h.hour > hour-24 && h.hour <= hour {
			passed += h.passed
			failed += h.failed
		}
	}
	return passed, failed
}

// Status implements api.Reporter.
func (n *Node) Status(ctx context.Context) (*api.Status, error) {
	key := n.c.Key.PublicKey()
	tiers, served := n.tiers.Status(), n.api.Stats()
	passed, failed := n.validations.counts(n.c.Now())
	st := &api.Status{NodeID: key.ID(), Version: n.c.Version,
		Uptime: int64(n.Uptime().Seconds()), PublicKey: key, ProofProfile: "retrievability",
		Mode:      string(n.c.Policy.Config().Mode),
		StartedAt: n.c.Now().Add(-n.Uptime()).UTC().Truncate(time.Second),
		Callers:   n.api.Usage(), AccessSource: "pinned"}
	if n.c.Access != nil {
		st.AccessSource = "configured"
	}
	for _, p := range n.tiers.Plots() {
		st.Plots.Count++
		st.Plots.TotalSize += p.Size
		st.Plots.CapsuleCount += p.Capsules
	}
	if n.c.Peers != nil {
		peers, err := n.c.Peers.Peers(ctx)
		if err != nil {
			return nil, err
		}
		st.Network.Peers = len(peers)
	}
	st.Network.BandwidthUsed = served.Received + served.Sent
	st.Network.Validations24h = passed + failed
	st.Storage = api.StorageStatus{Quarantined: tiers.Quarantined, Stores: tiers.Index.Stores,
		Generations: tiers.Index.Generations, Capsules: int64(tiers.Index.Held)}
	if usage, err := n.c.Storage.Usage(ctx); err == nil {
		st.Storage.UsedBytes = usage.Bytes
		if usage.Free >= 0 {
			st.Storage.CapacityBytes = usage.Bytes + usage.Free
		}
	}
	cs := tiers.Cache
	st.Cache = api.CacheStatus{L1Bytes: cs.L1Bytes, L2Bytes: cs.L2Bytes, L1Hits: cs.L1Hits,
		L2Hits: cs.L2Hits, DiskReads: cs.DiskReads}
	st.Sessions.Count, st.Sessions.StagedBytes = n.pushes.Stats()
	if err := n.money(ctx, st); err != nil {
		return nil, err
	}
	st.Metrics = n.metrics(ctx, st)
	return st, nil
}

// money fills in the data of the sources of rewards and of the policy.
func (n *Node) money(ctx context.Context, st *api.Status) error {
	var e Earnings
	if n.c.Rewards != nil {
		var err error
		if e, err = n.c.Rewards.Totals(ctx); err != nil {
			return &api.Error{Code: api.UpstreamUnavailable, Err: err}
		}
	}
	st.Earnings = api.EarningsStatus{TotalDIG: json.Number(e.Total.String()),
		TotalBribes: json.Number(e.Bribes.String()), PendingRewards: json.Number(e.Pending.String())}
	st.Policy.FilterRequested = n.c.Policy.Config().Filter
	st.Policy.FilterActive = st.Policy.FilterRequested
	if n.c.Policy.Unresolved() != "" {
		st.Policy.FilterActive = policy.HeuristicModel
	}
	return nil
}

// Pin keeps a datastore from being evicted.
func (n *Node) Pin(_ context.Context, store auth.StoreID) error {
	return n.follow.change(func(_ map[auth.StoreID]string, pinned map[auth.StoreID]bool) {
		pinned[store] = true
	})
}

// Unpin undoes Pin.
func (n *Node) Unpin(_ context.Context, store auth.StoreID) error {
	return n.follow.change(func(_ map[auth.StoreID]string, pinned map[auth.StoreID]bool) {
		delete(pinned, store)
	})
}

// Track makes the node track a datastore: its writers may push without a credential. origin is the
// source of the datastore; it may be empty.
func (n *Node) Track(_ context.Context, store auth.StoreID, origin string) error {
	err := n.follow.change(func(tracked map[auth.StoreID]string, _ map[auth.StoreID]bool) {
		tracked[store] = origin
	})
	if err == nil {
		n.hub.send(slog.LevelInfo, "node", "store_tracked", map[string]any{
			"datastore_id": "0x" + store.String()})
	}
	return err
}

// Untrack undoes Track.
func (n *Node) Untrack(_ context.Context, store auth.StoreID) error {
	return n.follow.change(func(tracked map[auth.StoreID]string, _ map[auth.StoreID]bool) {
		delete(tracked, store)
	})
}
