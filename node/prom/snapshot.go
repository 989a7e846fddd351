package prom

import (
	"context"
	"time"

	"github.com/dig-network/digstore/node/economy"
)

// A Snapshot is the state of a node at one moment. Counters count since the start. An unknown value
// is zero, or nil where noted.
type Snapshot struct {
	StorageUsed     int64 // bytes
	StorageCapacity int64 // bytes; 0: not known
	Capsules        int64 // held
	CapsulesStored  uint64
	Datastores      int
	Generations     int
	Plots           int
	PlotsBytes      int64
	Quarantined     int // capsules that are damaged
	Sessions        int // uploads
	StagedBytes     int64

	Peers            int
	Received, Sent   int64 // bytes
	Passed, Failed   uint64
	Passed24h        int // validations in the last 24 hours
	Failed24h        int
	Earned, Bribes   economy.Amount
	Pending          economy.Amount
	EarnedLastDay    *economy.Amount // nil: not known
	CacheL1, CacheL2 int64           // bytes
	CacheRequests    map[string]uint64
	RateLimited      map[string]uint64 // by bucket
	Process          Process
	Version          string
	Started          time.Time
}

// Process has measurements of the process by the system. An unknown value is nil.
type Process struct {
	CPU         *float64 // seconds of all cores
	Cores       int
	Memory      *int64 // bytes
	MemoryLimit *int64 // bytes
	DiskRead    *int64 // bytes
	DiskWritten *int64 // bytes
}

// A Source returns snapshots. It is called at each scrape, and may be called concurrently.
type Source func(ctx context.Context) (*Snapshot, error)

// terabyte is the unit of earnings_per_tb.
const terabyte = 1e12

// perTB returns the earnings of the last day per terabyte used, or false if they are unknown.
func (s *Snapshot) perTB() (float64, bool) {
	if s.EarnedLastDay == nil || s.StorageUsed <= 0 {
		return 0, false
	}
	return dig(*s.EarnedLastDay) / (float64(s.StorageUsed) / terabyte), true
}

// utilization returns the share of the storage that is used.
func (s *Snapshot) utilization() (float64, bool) {
	if s.StorageCapacity <= 0 {
		return 0, false
	}
	return float64(s.StorageUsed) / float64(s.StorageCapacity), true
}

// successRate returns the share of the validations of 24 hours that passed.
func (s *Snapshot) successRate() (float64, bool) {
	all := s.Passed24h + s.Failed24h
	if all == 0 {
		return 0, false
	}
	return float64(s.Passed24h) / float64(all), true
}

// memoryUsage returns the memory in percent of the limit.
func (p *Process) memoryUsage() (float64, bool) {
	if p.Memory == nil || p.MemoryLimit == nil || *p.MemoryLimit <= 0 {
		return 0, false
	}
	return 100 * float64(*p.Memory) / float64(*p.MemoryLimit), true
}

func dig(a economy.Amount) float64 { return float64(a) / float64(economy.DIG) }
