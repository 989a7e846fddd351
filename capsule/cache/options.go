package cache

import (
	"time"

	"github.com/dig-network/digstore/internal/diskfs"
)

// Options are those of New. The zero value is the default.
type Options struct {
	// Memory is the budget from which the tiers take their default sizes, in bytes: 0 means 1 GiB.
	Memory int64
	// L1 is the size of L1 in bytes: 0 means a tenth of Memory, a negative size switches the
	// tier off.
	L1 int64
	// L2 is the size of L2 in bytes: 0 means three tenths of Memory, a negative size switches
	// the tier off.
	L2 int64
	// Dir keeps L2 in files below this directory, which is made when it is missing. One cache at
	// a time uses it.
	Dir string
	// Entries bounds the capsules of each tier: 0 means 1,048,576.
	Entries int
	// Loading is how many bytes all loads together may hold: 0 means half of L1, at least 64
	// MiB. A larger capsule is streamed.
	Loading int64
	// Prefetch is how many capsules are loaded ahead of a client that reads one after the other:
	// 0 means 2, a negative number none.
	Prefetch int
	// Now is the clock: nil means time.Now.
	Now func() time.Time

	// L1Policy and L2Policy make the policy of a tier of so many bytes and entries: nil means
	// NewLRU and NewLFU.
	L1Policy, L2Policy func(bytes int64, entries int) Policy

	fs diskfs.FS // nil: this machine's; tests set others
}

const (
	defaultMemory  = 1 << 30
	defaultEntries = 1 << 20
	minLoading     = 64 << 20
	admitted       = 4 // a capsule above 1/admitted of a tier is not admitted to it

	absentFor     = 5 * time.Second
	absentEntries = 1 << 16
	knownEntries  = 1 << 16 // places whose descriptors are remembered
)

// withDefaults returns o with its defaults filled in; sizes that were negative are 0.
func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	if d.Memory <= 0 {
		d.Memory = defaultMemory
	}
	if d.L1 == 0 {
		d.L1 = d.Memory / 10
	}
	if d.L2 == 0 {
		d.L2 = d.Memory / 10 * 3
	}
	d.L1, d.L2 = max(0, d.L1), max(0, d.L2)
	if d.Entries <= 0 {
		d.Entries = defaultEntries
	}
	if d.Loading <= 0 {
		d.Loading = max(minLoading, d.L1/2)
	}
	if d.Prefetch == 0 {
		d.Prefetch = 2
	}
	d.Prefetch = max(0, d.Prefetch)
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.L1Policy == nil {
		d.L1Policy = NewLRU
	}
	if d.L2Policy == nil {
		d.L2Policy = NewLFU
	}
	if d.fs == nil {
		d.fs = diskfs.Beneath(d.Dir)
	}
	return d
}

// Hit says where a capsule was found. Its String is the value of the header X-Dig-Cache.
type Hit uint8

// The places.
const (
	DiskRead Hit = iota // in the source
	L2Hit
	L1Hit
)

// String returns "disk_read", "l2_hit" or "l1_hit".
func (h Hit) String() string {
	switch h {
	case L1Hit:
		return "l1_hit"
	case L2Hit:
		return "l2_hit"
	}
	return "disk_read"
}

// Stats are counts since the cache was made, and what it holds now.
type Stats struct {
	L1Hits, L2Hits, DiskReads uint64
	Streamed                  uint64 // reads that no tier admits
	Absent                    uint64 // reads that were answered from the memory of absence
	Prefetched                uint64
	Mismatches                uint64 // content of the source or of a file that did not verify

	L1Bytes, L2Bytes     int64 // L1 with what is prefetched and pinned
	L1Entries, L2Entries int
}
