package prom

import (
	"context"
	"maps"
	"math"
	"runtime"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// A metric is a name and a function that computes its values from a sample.
type metric struct {
	name, help string
	kind       prometheus.ValueType
	labels     []string
	values     func(*sample) []point
}

// A point is one value, with the values of the labels.
type point struct {
	v      float64
	labels []string
}

func (m metric) desc() *prometheus.Desc {
	return prometheus.NewDesc(m.name, m.help, m.labels, nil)
}

func (m metric) collect(to chan<- prometheus.Metric, s *sample) {
	for _, p := range m.values(s) {
		to <- prometheus.MustNewConstMetric(m.desc(), m.kind, p.v, p.labels...)
	}
}

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

var scrapeError = metric{name: "dig_scrape_error",
	help: "1 when the state of the node could not be read.", kind: gauge}

// one returns the single value of a metric without labels.
func one[T int | int64 | uint64 | float64](v T) []point { return []point{{v: float64(v)}} }

// known returns a value, or NaN where it is not known.
func known(v float64, ok bool) []point {
	if !ok {
		v = math.NaN()
	}
	return []point{{v: v}}
}

// optional returns a value, or nothing where it is not known.
func optional[T int64 | float64](v *T) []point {
	if v == nil {
		return nil
	}
	return one(float64(*v))
}

// by returns the values of a map, in the order of its keys.
func by(m map[string]uint64) []point {
	var all []point
	for _, k := range slices.Sorted(maps.Keys(m)) {
		all = append(all, point{float64(m[k]), []string{k}})
	}
	return all
}

var table = []metric{
	{"dig_storage_used_bytes", "Bytes of what is stored.", gauge, nil, func(s *sample) []point { return one(s.StorageUsed) }},
	{"dig_storage_capacity_bytes", "Bytes that can be stored.", gauge, nil, func(s *sample) []point { return one(s.StorageCapacity) }},
	{"dig_capsules", "Capsules that are held.", gauge, nil, func(s *sample) []point { return one(s.Capsules) }},
	{"dig_capsules_stored_total", "Capsules that were stored.", counter, nil, func(s *sample) []point { return one(s.CapsulesStored) }},
	{"dig_datastores", "Datastores that are held.", gauge, nil, func(s *sample) []point { return one(s.Datastores) }},
	{"dig_generations", "Generations that are held.", gauge, nil, func(s *sample) []point { return one(s.Generations) }},
	{"dig_plots", "Plots.", gauge, nil, func(s *sample) []point { return one(s.Plots) }},
	{"dig_plots_bytes", "Bytes of all plots.", gauge, nil, func(s *sample) []point { return one(s.PlotsBytes) }},
	{"dig_quarantined_capsules", "Copies of capsules that are damaged.", gauge, nil, func(s *sample) []point { return one(s.Quarantined) }},
	{"dig_upload_sessions", "Uploads that are open.", gauge, nil, func(s *sample) []point { return one(s.Sessions) }},
	{"dig_staged_bytes", "Bytes of uploads that are not committed.", gauge, nil, func(s *sample) []point { return one(s.StagedBytes) }},
	{"dig_peers", "Peers that are connected.", gauge, nil, func(s *sample) []point { return one(s.Peers) }},
	{"dig_network_receive_bytes_total", "Bytes of bodies that were received.", counter, nil, func(s *sample) []point { return one(s.Received) }},
	{"dig_network_transmit_bytes_total", "Bytes of bodies that were sent.", counter, nil, func(s *sample) []point { return one(s.Sent) }},
	{"dig_validations_total", "Challenges that were answered.", counter, []string{"result"}, func(s *sample) []point {
		return []point{{float64(s.Passed), []string{"passed"}}, {float64(s.Failed), []string{"failed"}}}
	}},
	{"dig_earnings_dig_total", "DIG that was earned, without bribes.", counter, nil, func(s *sample) []point { return one(dig(s.Earned)) }},
	{"dig_bribes_dig_total", "DIG of bribes.", counter, nil, func(s *sample) []point { return one(dig(s.Bribes)) }},
	{"dig_pending_rewards_dig", "DIG that is not claimed yet.", gauge, nil, func(s *sample) []point { return one(dig(s.Pending)) }},
	{"dig_earnings_per_terabyte_dig", "DIG of the last day for each 10^12 bytes that are stored.", gauge, nil, func(s *sample) []point { return known(s.perTB()) }},
	{"dig_cache_requests_total", "Reads of capsules, by where they were found.", counter, []string{"result"}, func(s *sample) []point { return by(s.CacheRequests) }},
	{"dig_cache_bytes", "Bytes in the cache.", gauge, []string{"tier"}, func(s *sample) []point {
		return []point{{float64(s.CacheL1), []string{"l1"}}, {float64(s.CacheL2), []string{"l2"}}}
	}},
	{"dig_rate_limited_total", "Requests that were refused because of a limit.", counter, []string{"bucket"}, func(s *sample) []point { return by(s.RateLimited) }},
	{"dig_cpu_seconds_total", "CPU time of the process.", counter, nil, func(s *sample) []point { return optional(s.Process.CPU) }},
	{"dig_memory_bytes", "Memory of the process.", gauge, nil, func(s *sample) []point { return optional(s.Process.Memory) }},
	{"dig_memory_limit_bytes", "Memory that the process may use.", gauge, nil, func(s *sample) []point { return optional(s.Process.MemoryLimit) }},
	{"dig_disk_read_bytes_total", "Bytes that the process has read from disks.", counter, nil, func(s *sample) []point { return optional(s.Process.DiskRead) }},
	{"dig_disk_write_bytes_total", "Bytes that the process has written to disks.", counter, nil, func(s *sample) []point { return optional(s.Process.DiskWritten) }},
	{"dig_start_time_seconds", "When the node started, in Unix time.", gauge, nil, func(s *sample) []point { return one(float64(s.Started.UnixMilli()) / 1000) }},
	{"dig_build_info", "1, with the version of the program.", gauge, []string{"version", "goversion"}, func(s *sample) []point {
		return []point{{1, []string{s.Version, runtime.Version()}}}
	}},
}

// seedTable has the names without prefix, except those of histograms.
var seedTable = []metric{
	{"storage_utilization", "bytes_used / bytes_total", gauge, nil, func(s *sample) []point { return known(s.utilization()) }},
	{"capsule_count", "total capsules stored", counter, nil, func(s *sample) []point { return one(s.CapsulesStored) }},
	{"peer_count", "active peer connections", gauge, nil, func(s *sample) []point { return one(s.Peers) }},
	{"bandwidth_in", "bytes received", counter, nil, func(s *sample) []point { return one(s.Received) }},
	{"bandwidth_out", "bytes sent", counter, nil, func(s *sample) []point { return one(s.Sent) }},
	{"validation_success_rate", "successful / total", gauge, nil, func(s *sample) []point { return known(s.successRate()) }},
	{"earnings_per_tb", "DIG per TB per day", gauge, nil, func(s *sample) []point { return known(s.perTB()) }},
	{"pending_rewards", "unclaimed DIG", gauge, nil, func(s *sample) []point { return one(dig(s.Pending)) }},
	{"cpu_usage", "percentage of all cores", gauge, nil, func(s *sample) []point {
		if s.cpu == nil {
			return known(0, false)
		}
		return one(100 * *s.cpu / cores(&s.Process))
	}},
	{"memory_usage", "percentage of the limit", gauge, nil, func(s *sample) []point { return known(s.Process.memoryUsage()) }},
	{"disk_io_rate", "MB/s", gauge, nil, func(s *sample) []point {
		if s.disk == nil {
			return known(0, false)
		}
		return one(*s.disk / 1e6)
	}},
}

// SeedValues returns the fourteen metrics without prefix as numbers: for histograms the mean since
// the start, and nil if there is no value.
func (c *Collector) SeedValues(ctx context.Context) (map[string]*float64, error) {
	s, err := c.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]*float64{"request_latency": mean(c.seedRequests),
		"plot_generation_rate": mean(c.seedPlots), "proof_generation_time": mean(c.seedProofs)}
	for _, m := range seedTable {
		all[m.name] = nil
		for _, p := range m.values(s) {
			if !math.IsNaN(p.v) {
				all[m.name] = &p.v
			}
		}
	}
	return all, nil
}

// mean returns the mean of what a histogram has counted, nil before the first.
func mean(h prometheus.Histogram) *float64 {
	var m dto.Metric
	if err := h.Write(&m); err != nil || m.GetHistogram().GetSampleCount() == 0 {
		return nil
	}
	v := m.GetHistogram().GetSampleSum() / float64(m.GetHistogram().GetSampleCount())
	return &v
}
