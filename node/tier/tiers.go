package tier

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/capsule/cache"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/index"
	"github.com/dig-network/digstore/node/tier/internal/state"
	"github.com/dig-network/digstore/plot"
)

// noStore is the id of a datastore that does not exist.
var noStore = auth.StoreID{}

// storagePlace is the place of loose content, and the name of its source in the index.
const storagePlace = "storage"

// Tiers has the capsules of a node in all their tiers. It is a capsule.Source, a capsule.Locator
// and a capsule.Plots, and is safe for concurrent use. New makes one.
type Tiers struct {
	c             Config
	state         *state.State
	index         *index.Index
	cache         *cache.Cache
	storageSource *index.StorageSource
	volumes       []*volume
	events        events
	running       atomic.Bool

	watching   sync.Mutex   // held while volumes are attached and detached
	indexing   sync.Mutex   // held while sources are listed
	discarding sync.RWMutex // held while orphans are discarded
	changing   sync.Mutex   // held while a generation is committed or removed
	plotting   sync.Mutex   // held while plots are made, moved or removed
	scrubbing  sync.Mutex   // held while a scrub runs
	repairs    chan capsule.Descriptor

	mu            sync.Mutex
	storageErr    error // why the storage cannot be reached
	storageListed bool
	damagedFiles  map[index.Item]bool       // that were reported
	staged        map[merkle.Hash]time.Time // content that was put by this process and not committed
}

var (
	_ capsule.Source  = (*Tiers)(nil)
	_ capsule.Locator = (*Tiers)(nil)
	_ capsule.Plots   = (*Tiers)(nil)
)

// New returns the tiers of a node and starts nothing. It reads the state and opens the present
// volumes; a missing volume is opened when it appears. Before the first Refresh, which Run does,
// the index has what Config.Index had. The caller closes the Tiers.
func New(ctx context.Context, c Config) (*Tiers, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	fsys := c.FS
	if fsys == nil {
		fsys = diskfs.OS()
	}
	t := &Tiers{c: c, index: c.Index, repairs: make(chan capsule.Descriptor, 64),
		storageSource: index.NewStorageSource(storagePlace, c.Storage),
		staged:        map[merkle.Hash]time.Time{}}
	if t.state, err = state.Load(fsys, c.StateFile); err != nil {
		return nil, err
	}
	for _, v := range c.Volumes {
		t.volumes = append(t.volumes, newVolume(v, c.FS))
	}
	if t.cache, err = cache.New(source{t}, &c.Cache); err != nil {
		return nil, err
	}
	for _, v := range t.volumes {
		err := t.attach(ctx, v)
		if errors.Is(err, diskfs.ErrLocked) {
			return nil, errors.Join(err, t.Close())
		}
		if err != nil {
			v.detach(err)
		}
	}
	t.watchStorage(ctx)
	return t, nil
}

// Close saves the state and releases the volumes and the cache. The storage stays open.
func (t *Tiers) Close() error {
	errs := []error{t.state.Flush(), t.cache.Close()}
	for _, v := range t.volumes {
		errs = append(errs, v.close())
	}
	return errors.Join(errs...)
}

// Index returns the index.
func (t *Tiers) Index() *index.Index { return t.index }

// Run refreshes the index and then runs all jobs until ctx ends, and returns when they have
// stopped: nil after the end of ctx.
func (t *Tiers) Run(ctx context.Context) error {
	if !t.running.CompareAndSwap(false, true) {
		return fmt.Errorf("run tiers: %w", ErrRunning)
	}
	defer t.running.Store(false)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { t.cache.Run(ctx) })
	if report, err := t.Refresh(ctx); err != nil {
		if ctx.Err() == nil {
			cancel()
			return err
		}
	} else {
		t.reportDamaged(report)
	}
	s := t.c.Settings
	wg.Go(func() { t.every(ctx, s.WatchInterval, t.watchJob) })
	wg.Go(func() { t.every(ctx, s.CollectInterval, t.collectJob) })
	wg.Go(func() { t.every(ctx, s.ReviewInterval, t.Review) })
	wg.Go(func() { t.every(ctx, s.PlotInterval, t.plotJobs) })
	wg.Go(func() { t.scrubJob(ctx) })
	wg.Go(func() { t.repairJob(ctx) })
	wg.Go(func() { t.every(ctx, s.SaveInterval, t.save) })
	wg.Wait()
	return t.state.Flush()
}

// every runs a job at every interval until ctx ends. Failures are events.
func (t *Tiers) every(
	ctx context.Context, interval time.Duration, job func(context.Context) error,
) {
	if interval < 0 {
		return
	}
	timer := time.NewTimer(interval)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if err := job(ctx); err != nil && ctx.Err() == nil {
			t.failed("", err)
		}
		timer.Reset(interval)
	}
}

// save refreshes the index, to detect files that others have added or removed, and writes the
// state. The index, and so its snapshot, then has the stamps of new commits.
func (t *Tiers) save(ctx context.Context) error {
	report, err := t.Refresh(ctx)
	if err == nil {
		t.reportDamaged(report)
	}
	return errors.Join(err, t.state.Flush())
}

// failed reports that a job has failed.
func (t *Tiers) failed(path string, err error) {
	kind := JobFailed
	if errors.Is(err, ErrNoSpace) {
		kind = NoSpace
	}
	t.notify(Event{Kind: kind, Path: path, Err: err})
}

func (t *Tiers) watchJob(ctx context.Context) error {
	if !t.watch(ctx) {
		return nil
	}
	report, err := t.refresh(ctx)
	if err == nil {
		t.reportDamaged(report)
	}
	return err
}

// reportDamaged reports files that cannot be read, each once.
func (t *Tiers) reportDamaged(r *index.Report) {
	t.mu.Lock()
	known := t.damagedFiles
	t.damagedFiles = map[index.Item]bool{}
	for _, d := range r.Damaged {
		t.damagedFiles[d.Item] = true
	}
	t.mu.Unlock()
	for _, d := range r.Damaged {
		if known[d.Item] {
			continue
		}
		ev := Event{Kind: CorruptFound, Store: d.Item.Key.Store, Root: d.Item.Key.Root,
			Path: d.Item.Name, Err: d.Err}
		t.notify(ev)
	}
}

// noSpace adds ErrNoSpace to the error of a full disk.
func noSpace(err error) error {
	if diskfs.NoSpace(err) && !errors.Is(err, ErrNoSpace) {
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return err
}

// VolumeStatus is the status of a volume.
type VolumeStatus struct {
	Volume
	Err   error // error of a missing volume; nil: it is present
	Plots int
	Used  int64 // bytes of the plots
	Free  int64 // bytes that may be written, the reserve and the quota left out; negative: not known
}

// Status is the status of a Tiers.
type Status struct {
	// Complete: everything was listed since the start, so that absence is known.
	Complete    bool
	Storage     error // why it cannot be reached
	Volumes     []VolumeStatus
	Index       index.Counts
	Cache       cache.Stats
	Quarantined int // copies that are damaged
	Removed     int // generations that are removed and lie in plots
	Scrub       ScrubStatus
	EventsLost  uint64 // by subscribers that were too slow
}

// Available returns nil if the storage and all volumes are present, and otherwise the errors of
// those missing.
func (t *Tiers) Available() error {
	t.mu.Lock()
	errs := []error{t.storageErr}
	t.mu.Unlock()
	for _, v := range t.volumes {
		if err := v.err(); err != nil {
			errs = append(errs, fmt.Errorf("volume %s: %w", v.Path, err))
		}
	}
	return errors.Join(errs...)
}

// Status returns the status. It reads no content.
func (t *Tiers) Status() Status {
	t.mu.Lock()
	s := Status{Storage: t.storageErr}
	t.mu.Unlock()
	s.Complete = t.complete()
	s.Index, s.Cache, s.EventsLost = t.index.Counts(), t.cache.Stats(), t.events.lost.Load()
	t.state.Read(func(d *state.Data) {
		s.Quarantined, s.Removed = len(d.Quarantine), len(d.Removed)
	})
	at := t.scrubAt()
	s.Scrub = ScrubStatus{at.Running, at.Started, at.Finished, at.Bytes, at.Damaged, at.Repaired}
	for _, v := range t.volumes {
		vs := VolumeStatus{Volume: v.Volume, Err: v.err(), Free: -1}
		for _, p := range v.held() {
			vs.Plots++
			vs.Used += p.Size
		}
		if free, err := t.room(v); vs.Err == nil && err == nil {
			vs.Free = free
		}
		s.Volumes = append(s.Volumes, vs)
	}
	return s
}

// held returns the plots of a volume, as they were last seen.
func (v *volume) held() []plot.Held {
	v.mu.RLock()
	plots := v.plots
	v.mu.RUnlock()
	if plots == nil {
		return nil
	}
	var list []plot.Held
	for p := range plots.Plots() {
		list = append(list, p)
	}
	return list
}

// Plots returns the plots of all volumes.
func (t *Tiers) Plots() []plot.Held {
	var list []plot.Held
	for _, v := range t.volumes {
		list = append(list, v.held()...)
	}
	return list
}
