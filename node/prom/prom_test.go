package prom_test

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/dig-network/digstore/node/api"
	"github.com/dig-network/digstore/node/economy"
	"github.com/dig-network/digstore/node/prom"
)

func ptr[T any](v T) *T { return &v }

func snapshot() *prom.Snapshot {
	return &prom.Snapshot{StorageUsed: 2e12, StorageCapacity: 8e12, Capsules: 90, CapsulesStored: 100,
		Datastores: 3, Generations: 4, Plots: 5, PlotsBytes: 600, Quarantined: 1, Sessions: 2,
		StagedBytes: 70, Peers: 8, Received: 900, Sent: 1000, Passed: 30, Failed: 10, Passed24h: 3,
		Failed24h: 1, Earned: 1000500, Bribes: 50250, Pending: 10 * economy.DIG,
		EarnedLastDay: ptr(4 * economy.DIG), CacheL1: 11, CacheL2: 12,
		CacheRequests: map[string]uint64{"l1_hit": 5, "disk_read": 6},
		RateLimited:   map[string]uint64{"api_requests": 7}, Version: "1.0.0",
		Started: time.Unix(1700000000, 5e8),
		Process: prom.Process{CPU: ptr(100.0), Cores: 4, Memory: ptr(int64(1 << 30)),
			MemoryLimit: ptr(int64(4 << 30)), DiskRead: ptr(int64(1e6)), DiskWritten: ptr(int64(2e6))}}
}

// gather returns the values of metrics without labels by name, and with labels by name and their
// values. Of histograms it is the count and the sum.
func gather(t *testing.T, c prometheus.Collector) map[string]float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	if err := r.Register(c); err != nil {
		t.Fatal(err)
	}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			name := f.GetName()
			for _, l := range m.Label {
				name += " " + l.GetValue()
			}
			switch {
			case m.Histogram != nil:
				all[name+" count"] = float64(m.Histogram.GetSampleCount())
				all[name+" sum"] = m.Histogram.GetSampleSum()
			case m.Counter != nil:
				all[name] = m.Counter.GetValue()
			default:
				all[name] = m.Gauge.GetValue()
			}
		}
	}
	return all
}

func source(s *prom.Snapshot) prom.Source {
	return func(context.Context) (*prom.Snapshot, error) { return s, nil }
}

func TestCollector(t *testing.T) {
	c := prom.New(source(snapshot()), nil)
	c.ObserveRequest(api.Request{Route: "/capsule/{id}", Method: "GET", Status: 200,
		Duration: time.Second})
	c.ObservePlot(2 * time.Minute)
	c.ObserveProof("full", 250*time.Millisecond)
	got := gather(t, c)
	maps.DeleteFunc(got, func(name string, _ float64) bool {
		return strings.HasPrefix(name, "dig_build_info")
	})
	want := map[string]float64{"dig_storage_used_bytes": 2e12, "dig_storage_capacity_bytes": 8e12,
		"dig_capsules": 90, "dig_capsules_stored_total": 100, "dig_datastores": 3, "dig_generations": 4,
		"dig_plots": 5, "dig_plots_bytes": 600, "dig_quarantined_capsules": 1, "dig_upload_sessions": 2,
		"dig_staged_bytes": 70, "dig_peers": 8, "dig_network_receive_bytes_total": 900,
		"dig_network_transmit_bytes_total": 1000, "dig_validations_total passed": 30,
		"dig_validations_total failed": 10, "dig_earnings_dig_total": 1000.5,
		"dig_bribes_dig_total": 50.25, "dig_pending_rewards_dig": 10, "dig_earnings_per_terabyte_dig": 2,
		"dig_cache_requests_total l1_hit": 5, "dig_cache_requests_total disk_read": 6,
		"dig_cache_bytes l1": 11, "dig_cache_bytes l2": 12, "dig_rate_limited_total api_requests": 7,
		"dig_cpu_seconds_total": 100, "dig_memory_bytes": 1 << 30, "dig_memory_limit_bytes": 4 << 30,
		"dig_disk_read_bytes_total": 1e6, "dig_disk_write_bytes_total": 2e6,
		"dig_start_time_seconds": 1700000000.5, "dig_scrape_error": 0,
		"dig_http_request_duration_seconds 200 GET /capsule/{id} count": 1,
		"dig_http_request_duration_seconds 200 GET /capsule/{id} sum":   1,
		"dig_plot_create_duration_seconds count":                        1, "dig_plot_create_duration_seconds sum": 120,
		"dig_proof_duration_seconds full count": 1, "dig_proof_duration_seconds full sum": 0.25}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// Names follow the conventions of Prometheus.
func TestLint(t *testing.T) {
	problems, err := testutil.CollectAndLint(prom.New(source(snapshot()), nil))
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

// seeds are the names without prefix, and their values for snapshot after the second scrape.
var seeds = map[string]float64{"storage_utilization": 0.25, "capsule_count": 100, "peer_count": 8,
	"bandwidth_in": 900, "bandwidth_out": 1000, "validation_success_rate": 0.75, "earnings_per_tb": 2,
	"pending_rewards": 10, "cpu_usage": 50, "memory_usage": 25, "disk_io_rate": 0.5,
	"request_latency": 1000, "plot_generation_rate": 30, "proof_generation_time": 250}

func TestSeedNames(t *testing.T) {
	s, now := snapshot(), time.Unix(0, 0)
	c := prom.New(source(s), &prom.Options{SeedNames: true, Now: func() time.Time { return now }})
	c.ObserveRequest(api.Request{Route: "/", Method: "GET", Status: 200, Duration: time.Second})
	c.ObservePlot(2 * time.Minute)
	c.ObserveProof("full", 250*time.Millisecond)
	if got := gather(t, c); !math.IsNaN(got["cpu_usage"]) || !math.IsNaN(got["disk_io_rate"]) {
		t.Errorf("a rate after one scrape: %v, %v", got["cpu_usage"], got["disk_io_rate"])
	}
	now = now.Add(20 * time.Second)
	s.Process.CPU, s.Process.DiskRead = ptr(140.0), ptr(int64(11e6))
	got := gather(t, c)
	for name, want := range seeds {
		v, ok := got[name]
		if !ok {
			v, ok = got[name+" sum"]
		}
		if !ok || v != want {
			t.Errorf("%s is %v, want %v", name, v, want)
		}
	}
	now = now.Add(time.Second) // within the window the rates stay
	s.Process.CPU = ptr(1000.0)
	values, err := c.SeedValues(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range seeds {
		if v := values[name]; v == nil || *v != want {
			t.Errorf("value %s is %v, want %v", name, v, want)
		}
	}
	if len(values) != len(seeds) {
		t.Errorf("found %v", slices.Sorted(maps.Keys(values)))
	}
	without := gather(t, prom.New(source(s), nil))
	for name := range without {
		if !strings.HasPrefix(name, "dig_") {
			t.Errorf("%s is exported", name)
		}
	}
}

// What is not known is no zero.
func TestUnknown(t *testing.T) {
	c := prom.New(source(&prom.Snapshot{}), &prom.Options{SeedNames: true})
	values, err := c.SeedValues(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"storage_utilization", "validation_success_rate", "earnings_per_tb",
		"cpu_usage", "memory_usage", "disk_io_rate", "request_latency", "plot_generation_rate",
		"proof_generation_time"} {
		if v, ok := values[name]; !ok || v != nil {
			t.Errorf("%s: got %v, %v, want nil", name, v, ok)
		}
	}
	got := gather(t, c)
	for _, name := range []string{"dig_cpu_seconds_total", "dig_memory_bytes",
		"dig_disk_read_bytes_total"} {
		if v, ok := got[name]; ok {
			t.Errorf("%s is %v", name, v)
		}
	}
	if !cmp.Equal(got["dig_earnings_per_terabyte_dig"], math.NaN(), cmpopts.EquateNaNs()) {
		t.Errorf("earnings %v", got["dig_earnings_per_terabyte_dig"])
	}
}

// A node that does not answer does not stop a scrape.
func TestFailure(t *testing.T) {
	for name, s := range map[string]prom.Source{
		"error": func(context.Context) (*prom.Snapshot, error) { return nil, errors.New("broken") },
		"none":  func(context.Context) (*prom.Snapshot, error) { return nil, nil },
		"late": func(ctx context.Context) (*prom.Snapshot, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
	} {
		c := prom.New(s, &prom.Options{Timeout: time.Millisecond})
		c.ObservePlot(time.Second)
		got := gather(t, c)
		if got["dig_scrape_error"] != 1 || got["dig_plot_create_duration_seconds count"] != 1 {
			t.Errorf("%s: got %v", name, got)
		}
		if _, err := c.SeedValues(t.Context()); err == nil {
			t.Errorf("%s: values without a snapshot", name)
		}
	}
}

// Two nodes have two registries, and everything may happen at once.
func TestTogether(t *testing.T) {
	c := prom.New(source(snapshot()), &prom.Options{SeedNames: true})
	r := prometheus.NewRegistry()
	if err := r.Register(c); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				c.ObserveRequest(api.Request{Route: "/", Method: "GET", Status: 200})
				c.ObserveProof("full", time.Second)
				c.ObservePlot(time.Second)
				if _, err := r.Gather(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
