package prom

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dig-network/digstore/node/api"
)

// Options are settings of New. nil and the zero value mean the defaults.
type Options struct {
	SeedNames bool             // also export the fourteen names without prefix
	Timeout   time.Duration    // of a snapshot. Default 5 s
	Now       func() time.Time // default time.Now
}

// A Collector exports the metrics of one node. It is a prometheus.Collector, and safe for
// concurrent use. New makes one.
type Collector struct {
	source Source
	opt    Options
	rates  rates

	requests *prometheus.HistogramVec
	plots    prometheus.Histogram
	proofs   *prometheus.HistogramVec

	// The histograms with names without prefix.
	seedRequests, seedPlots, seedProofs prometheus.Histogram
}

var _ prometheus.Collector = (*Collector)(nil)

var (
	latencies = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	// durations are buckets for plots, which take minutes.
	durations = []float64{1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400}
	hourly    = decades(0.01, 1000)
)

// decades returns 1, 2 and 5 times each power of ten from least to most.
func decades(least, most float64) (all []float64) {
	for at := least; at < most*1.5; at *= 10 {
		all = append(all, at)
		if at < most/1.5 {
			all = append(all, 2*at, 5*at)
		}
	}
	return all
}

func milliseconds(seconds []float64) []float64 {
	all := make([]float64, len(seconds))
	for i, s := range seconds {
		all[i] = 1000 * s
	}
	return all
}

// New returns the Collector of a node. The caller registers it.
func New(source Source, o *Options) *Collector {
	c := &Collector{source: source}
	if o != nil {
		c.opt = *o
	}
	if c.opt.Timeout <= 0 {
		c.opt.Timeout = 5 * time.Second
	}
	if c.opt.Now == nil {
		c.opt.Now = time.Now
	}
	hist := func(name, help string, buckets []float64) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}
	}
	c.requests = prometheus.NewHistogramVec(hist("dig_http_request_duration_seconds",
		"Duration of requests, by pattern of the route.", latencies), []string{"route", "method", "code"})
	c.plots = prometheus.NewHistogram(hist("dig_plot_create_duration_seconds",
		"Time that writing a plot took.", durations))
	c.proofs = prometheus.NewHistogramVec(hist("dig_proof_duration_seconds",
		"Time that a proof took.", latencies), []string{"kind"})
	c.seedRequests = prometheus.NewHistogram(hist("request_latency", "ms per request.",
		milliseconds(latencies)))
	c.seedPlots = prometheus.NewHistogram(hist("plot_generation_rate", "Plots per hour.", hourly))
	c.seedProofs = prometheus.NewHistogram(hist("proof_generation_time", "ms per proof.",
		milliseconds(latencies)))
	return c
}

// ObserveRequest counts a request. It can be the field Observe of a node.Config.
func (c *Collector) ObserveRequest(r api.Request) {
	c.requests.WithLabelValues(r.Route, r.Method, strconv.Itoa(r.Status)).Observe(r.Duration.Seconds())
	c.seedRequests.Observe(1000 * r.Duration.Seconds())
}

// ObservePlot counts a written plot and its duration.
func (c *Collector) ObservePlot(took time.Duration) {
	c.plots.Observe(took.Seconds())
	if took > 0 {
		c.seedPlots.Observe(time.Hour.Seconds() / took.Seconds())
	}
}

// ObserveProof counts a proof and its duration. kind is the type of the challenge; it must have few
// values.
func (c *Collector) ObserveProof(kind string, took time.Duration) {
	c.proofs.WithLabelValues(kind).Observe(took.Seconds())
	c.seedProofs.Observe(1000 * took.Seconds())
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(to chan<- *prometheus.Desc) {
	for _, h := range c.histograms() {
		h.Describe(to)
	}
	for _, m := range table {
		to <- m.desc()
	}
	if c.opt.SeedNames {
		for _, m := range seedTable {
			to <- m.desc()
		}
	}
	to <- scrapeError.desc()
}

func (c *Collector) histograms() []prometheus.Collector {
	all := []prometheus.Collector{c.requests, c.plots, c.proofs}
	if c.opt.SeedNames {
		all = append(all, c.seedRequests, c.seedPlots, c.seedProofs)
	}
	return all
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	for _, h := range c.histograms() {
		h.Collect(to)
	}
	s, err := c.snapshot(context.Background())
	failed := 0.0
	if err != nil {
		failed = 1
	}
	to <- prometheus.MustNewConstMetric(scrapeError.desc(), scrapeError.kind, failed)
	if err != nil {
		return
	}
	for _, m := range table {
		m.collect(to, s)
	}
	if c.opt.SeedNames {
		for _, m := range seedTable {
			m.collect(to, s)
		}
	}
}

// A sample is a snapshot with the rates since an earlier one.
type sample struct {
	*Snapshot
	cpu, disk *float64 // cores that are busy, bytes a second; nil: not known
}

func (c *Collector) snapshot(ctx context.Context) (*sample, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opt.Timeout)
	defer cancel()
	s, err := c.source(ctx)
	if err == nil && s == nil {
		err = errors.New("no snapshot")
	}
	if err != nil {
		return nil, err
	}
	cpu, disk := c.rates.of(c.opt.Now(), &s.Process)
	return &sample{s, cpu, disk}, nil
}

// rates computes the rates of counters of the process.
type rates struct {
	mu        sync.Mutex
	base      Process // at the beginning of the window
	at        time.Time
	cpu, disk *float64
}

// window is the minimum time over which a rate is measured.
const window = 10 * time.Second

// of returns the rates of the last window.
func (r *rates) of(now time.Time, p *Process) (cpu, disk *float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	span := now.Sub(r.at)
	switch {
	case r.at.IsZero():
	case span < window:
		return r.cpu, r.disk
	default:
		r.cpu = growth(r.base.CPU, p.CPU, span)
		r.disk = sum(growth(floats(r.base.DiskRead), floats(p.DiskRead), span),
			growth(floats(r.base.DiskWritten), floats(p.DiskWritten), span))
	}
	r.base, r.at = *p, now
	return r.cpu, r.disk
}

func growth(from, to *float64, span time.Duration) *float64 {
	if from == nil || to == nil {
		return nil
	}
	v := max(0, *to-*from) / span.Seconds()
	return &v
}

func floats(n *int64) *float64 {
	if n == nil {
		return nil
	}
	v := float64(*n)
	return &v
}

func sum(a, b *float64) *float64 {
	if a == nil || b == nil {
		return nil
	}
	v := *a + *b
	return &v
}

func cores(p *Process) float64 {
	if p.Cores > 0 {
		return float64(p.Cores)
	}
	return float64(runtime.NumCPU())
}
