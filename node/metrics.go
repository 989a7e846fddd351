package node

import (
	"context"
	"sync"
	"time"

	"github.com/dig-network/digstore/node/api"
)

// mean is the mean of what was observed since the start.
type mean struct {
	mu    sync.Mutex
	sum   time.Duration
	count int64
}

func (m *mean) add(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sum += d
	m.count++
}

// milliseconds returns the mean, or nil if nothing was observed.
func (m *mean) milliseconds() *float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.count == 0 {
		return nil
	}
	ms := float64(m.sum) / float64(m.count) / float64(time.Millisecond)
	return &ms
}

// observe records a request and calls Config.Observe.
func (n *Node) observe(r api.Request) {
	if r.Route != "/events" { // whose duration depends on the client
		n.latency.add(r.Duration)
	}
	if n.c.Observe != nil {
		n.c.Observe(r)
	}
}

// metrics returns the measures of /node/status. Those that the node does not know are nil, unless
// Config.Measures has them.
func (n *Node) metrics(ctx context.Context, st *api.Status) map[string]*float64 {
	value := func(v float64) *float64 { return &v }
	served := n.api.Stats()
	m := map[string]*float64{
		"storage_utilization": nil, "plot_generation_rate": nil, "earnings_per_tb": nil,
		"validation_success_rate": nil, "cpu_usage": nil, "memory_usage": nil,
		"disk_io_rate": nil, "pending_rewards": nil,
		"capsule_count":         value(float64(st.Storage.Capsules)),
		"peer_count":            value(float64(st.Network.Peers)),
		"bandwidth_in":          value(float64(served.Received)),
		"bandwidth_out":         value(float64(served.Sent)),
		"request_latency":       n.latency.milliseconds(),
		"proof_generation_time": n.proving.milliseconds(),
	}
	if st.Storage.CapacityBytes > 0 {
		m["storage_utilization"] = value(float64(st.Storage.UsedBytes) /
			float64(st.Storage.CapacityBytes))
	}
	if passed, failed := n.validations.counts(n.c.Now()); passed+failed > 0 {
		m["validation_success_rate"] = value(float64(passed) / float64(passed+failed))
	}
	if pending, err := st.Earnings.PendingRewards.Float64(); err == nil && n.c.Rewards != nil {
		m["pending_rewards"] = &pending
	}
	if n.c.Measures != nil {
		for name, v := range n.c.Measures(ctx) {
			if _, ok := m[name]; ok {
				m[name] = value(v)
			}
		}
	}
	return m
}
