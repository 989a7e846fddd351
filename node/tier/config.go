package tier

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/cache"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/economy"
	"github.com/dig-network/digstore/node/index"
	"github.com/dig-network/digstore/node/policy"
	"github.com/dig-network/digstore/node/storage"
	"github.com/dig-network/digstore/plot"
)

// A Volume is a directory on a disk where plots lie.
type Volume struct {
	Path  string
	Class economy.Class
	Quota int64 // bytes that the files in it may take; 0: as many as the disk has
}

// Plots are the plots of one volume. *plot.Set is one. Implementations are safe for concurrent
// use. A Plots that is an io.Closer is closed.
type Plots interface {
	capsule.Source
	capsule.Plots
	// Scan reads the directory again.
	Scan(ctx context.Context) (*plot.Scan, error)
	// Verify verifies the plot file at path.
	Verify(ctx context.Context, path string, l plot.Level,
		progress func(plot.Progress)) (*plot.Report, error)
	// Plots yields the good plots.
	Plots() iter.Seq[plot.Held]
}

// Facts is what a node knows about a datastore besides what is stored.
type Facts struct {
	Tier        economy.Tier
	Handle      string // as a source of handles confirms it; empty: none
	Pinned      bool   // never dropped
	Tracked     bool
	Providers   int             // others that are known to hold it
	Reward      *economy.Amount // expected for each day; nil: not known
	Bribe       economy.Amount  // for each day
	Requests24h uint64
}

// Config is what a Tiers is made of. Storage is required.
type Config struct {
	Storage storage.Storage
	// Index is an index loaded from a snapshot. nil: the index is empty until the first Refresh.
	Index *index.Index
	// Volumes are the directories of plots. Without volumes there are no plots.
	Volumes []Volume
	// OpenPlots opens the plots of a volume. nil: plot.OpenSet.
	OpenPlots func(ctx context.Context, dir plot.Dir) (Plots, error)
	// Key signs new plots. nil: none are made.
	Key auth.NodeSigner
	// Work searches for the work of new plots. nil: the CPU.
	Work capsule.Worker
	// Cache has the sizes of L1 and L2.
	Cache cache.Options
	// Policy decides what is kept. nil: everything.
	Policy *policy.Policy
	// Facts returns external data about a datastore, before its content is placed or dropped. If it
	// fails, nothing of the datastore is dropped. nil: no data.
	Facts func(ctx context.Context, store auth.StoreID) (Facts, error)
	// Refill fetches a capsule from another node, to replace a damaged one. The content is
	// verified. nil: damage is repaired only from content of the node.
	Refill func(ctx context.Context, d capsule.Descriptor) (io.ReadCloser, error)
	// StateFile is where the state is kept. Empty: it is forgotten when the process ends.
	StateFile string

	Settings Settings

	// Now is the clock. nil: time.Now.
	Now func() time.Time
	// Free returns the free bytes of the disk at a path. nil: what the system says.
	Free func(path string) (int64, error)
	// FS is where plots and the state are written. nil: the disk. Only packages of this module
	// can name another one.
	FS diskfs.FS
}

// Settings are the thresholds of the jobs. The zero value is the default.
type Settings struct {
	KeepGenerations int           // of a datastore, the head included: 0 means 1
	Grace           time.Duration // how long staged or superseded content stays: 0 means 1 h
	// CollectInterval is the time between two collections in Run: 0 means 1 h, negative none.
	CollectInterval time.Duration
	// ReviewInterval is the time between two reviews: 0 means 6 h, negative none. What the policy
	// refuses is dropped when it is still refused after another interval.
	ReviewInterval time.Duration

	AutoPlot     bool             // Run plots heads that are in no plot
	PlotBytes    int64            // that many unplotted bytes of a class make a plot: 0 means 4 GiB
	PlotAge      time.Duration    // a head unplotted so long makes a plot: 0 means 24 h
	PlotInterval time.Duration    // between two runs of the plot jobs: 0 means 10 min, negative none
	MaxPlots     int              // 0 means 100, negative: none may be made
	Compression  plot.Compression // of new plots: empty means zstd
	Difficulty   int              // of new plots, as in plot.Options
	PlotWorkers  int              // goroutines that make a plot: 0 means GOMAXPROCS
	// Release removes loose content that is in a plot which passed full verification. The default
	// keeps it.
	Release     bool
	DemotionAge time.Duration // age at which a plot leaves the SSD: 0 means economy.DemotionAge

	// ScrubInterval is from the start of one scrub to the next: 0 means 720 h, negative none.
	ScrubInterval time.Duration
	ScrubRate     int64 // bytes a second: 0 means 32 MiB

	// WatchInterval is the time between two looks at the volumes: 0 means 2 s.
	WatchInterval time.Duration
	// SaveInterval is the time between two refreshes, after which the state is written when
	// nothing urgent has changed before: 0 means 10 min.
	SaveInterval time.Duration
}

func (s Settings) withDefaults() Settings {
	s.KeepGenerations = max(1, s.KeepGenerations)
	s.Grace = cmp.Or(s.Grace, time.Hour)
	s.CollectInterval = cmp.Or(s.CollectInterval, time.Hour)
	s.ReviewInterval = cmp.Or(s.ReviewInterval, 6*time.Hour)
	s.PlotBytes = cmp.Or(max(0, s.PlotBytes), 4<<30)
	s.PlotAge = cmp.Or(max(0, s.PlotAge), 24*time.Hour)
	s.PlotInterval = cmp.Or(s.PlotInterval, 10*time.Minute)
	s.MaxPlots = cmp.Or(s.MaxPlots, 100)
	s.ScrubInterval = cmp.Or(s.ScrubInterval, 720*time.Hour)
	s.ScrubRate = cmp.Or(max(0, s.ScrubRate), 32<<20)
	s.WatchInterval = cmp.Or(max(0, s.WatchInterval), 2*time.Second)
	s.SaveInterval = cmp.Or(max(0, s.SaveInterval), 10*time.Minute)
	return s
}

func (c Config) withDefaults() (Config, error) {
	if c.Storage == nil {
		return c, errors.New("new tiers: no storage")
	}
	if c.Index == nil {
		c.Index = index.New()
	}
	if c.OpenPlots == nil {
		c.OpenPlots = func(ctx context.Context, dir plot.Dir) (Plots, error) {
			return plot.OpenSet(ctx, nil, dir)
		}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Cache.Now == nil {
		c.Cache.Now = c.Now
	}
	if c.Free == nil {
		c.Free = diskfs.Free
	}
	if c.Facts == nil {
		c.Facts = func(context.Context, auth.StoreID) (Facts, error) { return Facts{}, nil }
	}
	c.Settings = c.Settings.withDefaults()
	seen := map[string]bool{}
	for i, v := range c.Volumes {
		path, err := filepath.Abs(v.Path)
		if err != nil {
			return c, fmt.Errorf("new tiers: volume %s: %w", v.Path, err)
		}
		if seen[path] {
			return c, fmt.Errorf("new tiers: volume %s is given twice", path)
		}
		if v.Class != economy.SSD && v.Class != economy.HDD {
			return c, fmt.Errorf("new tiers: volume %s: class %d, expected %d or %d", path, v.Class,
				economy.SSD, economy.HDD)
		}
		seen[path] = true
		if i == 0 {
			c.Volumes = append([]Volume(nil), c.Volumes...)
		}
		c.Volumes[i].Path = path
	}
	return c, nil
}

// An Event is something that an operator should know. Members that do not apply are zero.
type Event struct {
	Kind  EventKind
	Time  time.Time
	Store auth.StoreID
	Root  merkle.Hash
	Hash  merkle.Hash // of a capsule
	Plot  merkle.Hash // id
	Path  string      // of a volume or a plot
	Bytes int64
	Err   error
}

// EventKind says what has happened.
type EventKind string

// The kinds of events.
const (
	VolumeLost        EventKind = "volume_lost"        // Path, Err
	VolumeReturned    EventKind = "volume_returned"    // Path
	StorageLost       EventKind = "storage_lost"       // Err
	StorageReturned   EventKind = "storage_returned"   //
	CorruptFound      EventKind = "corrupt_found"      // Hash and Store, Path of a plot, Err
	Repaired          EventKind = "repaired"           // Hash, Path of a plot
	PlotCreated       EventKind = "plot_created"       // Plot, Path, Bytes
	PlotMoved         EventKind = "plot_moved"         // Plot, Path
	PlotRemoved       EventKind = "plot_removed"       // Plot, Path
	GenerationRemoved EventKind = "generation_removed" // Store, Root, Bytes
	NoSpace           EventKind = "no_space"           // Path, Err
	JobFailed         EventKind = "job_failed"         // Path, Err
)
