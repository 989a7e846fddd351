package tier

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path/filepath"
	"strings"
	"sync"

	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/index"
	"github.com/dig-network/digstore/node/tier/internal/state"
	"github.com/dig-network/digstore/plot"
)

// VolumeMarker is the name of the file by which a volume is recognized: 32 hexadecimal digits and
// a line feed, made when the path is used first. The process that uses the volume holds the lock of
// the file of that name with ".lock" at its end.
const VolumeMarker = "dig-volume"

const lockSuffix = ".lock"

const markerLen = 33

// volume is a Volume with its open files.
type volume struct {
	Volume
	fs     diskfs.FS
	source *index.PlotSource

	mu    sync.RWMutex
	id    string // in the marker
	plots Plots  // nil until the volume was there
	lock  io.Closer
	away  error // error of a missing volume; nil: it is present
	// listed: the index has been brought up to date with the volume since the start.
	listed bool
	stale  bool                   // a generation was removed or came back while the volume was away
	ids    map[string]merkle.Hash // of plots by path
}

func newVolume(v Volume, fsys diskfs.FS) *volume {
	if fsys == nil {
		fsys = diskfs.Beneath(v.Path)
	}
	dir := plot.Dir{Path: v.Path, Class: v.Class.String()}
	return &volume{Volume: v, fs: fsys, source: index.NewPlotSource("plots:"+v.Path, dir),
		away: errors.New("not opened yet")}
}

// open returns the plots of the volume, or the error of a missing volume.
func (v *volume) open() (Plots, error) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.plots, v.away
}

// err returns the error of a missing volume, or nil.
func (v *volume) err() error {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.away
}

func (v *volume) isListed() bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.listed
}

// setStale notes whether all plots have to be read into the index again, and returns what was
// noted.
func (v *volume) setStale(stale bool) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	was := v.stale
	v.stale = stale
	return was
}

// readMarker returns the id in the marker.
func (v *volume) readMarker() (string, error) {
	b, err := diskfs.ReadRegular(v.fs, filepath.Join(v.Path, VolumeMarker), markerLen)
	if err != nil {
		return "", err
	}
	id := strings.TrimSuffix(string(b), "\n")
	if raw, err := hex.DecodeString(id); err != nil || len(raw) != 16 {
		return "", fmt.Errorf("marker of volume %s: found %.40q, expected 32 hexadecimal digits",
			v.Path, b)
	}
	return id, nil
}

// check returns nil if the volume with the id is at its path.
func (v *volume) check(id string) error {
	found, err := v.readMarker()
	if err != nil {
		return err
	}
	if found != id {
		return fmt.Errorf("volume %s: found id %s, expected %s", v.Path, found, id)
	}
	return nil
}

// inPlace returns nil if the opened volume is at its path.
func (v *volume) inPlace() error {
	v.mu.RLock()
	id, err := v.id, v.away
	v.mu.RUnlock()
	if err != nil {
		return err
	}
	return v.check(id)
}

// begin finds the volume at its path, or makes it there when the path has never been used. known
// is the id that it had.
func (v *volume) begin(known string) (id string, err error) {
	if known != "" {
		return known, v.check(known)
	}
	id, err = v.readMarker()
	if !errors.Is(err, fs.ErrNotExist) {
		return id, err
	}
	if err := diskfs.MkdirAll(v.fs, v.Path, 0o755); err != nil {
		return "", err
	}
	var b [16]byte
	rand.Read(b[:]) // never fails
	id = hex.EncodeToString(b[:])
	return id, diskfs.WriteFile(v.fs, filepath.Join(v.Path, VolumeMarker), []byte(id+"\n"), 0o644)
}

// attach opens the volume. A volume that another process uses is diskfs.ErrLocked.
func (t *Tiers) attach(ctx context.Context, v *volume) error {
	var known string
	t.state.Read(func(d *state.Data) { known = d.Volumes[v.Path] })
	id, err := v.begin(known)
	if err != nil {
		return err
	}
	if known == "" {
		err := t.state.Change(func(s *state.Data) { s.Volumes[v.Path] = id })
		if err != nil {
			return err
		}
	}
	lock, err := v.fs.TryLock(filepath.Join(v.Path, VolumeMarker+lockSuffix))
	if errors.Is(err, diskfs.ErrLocked) {
		return fmt.Errorf("volume %s: %w", v.Path, err)
	}
	// A volume that is read-only cannot be locked, and no other process writes it.
	v.mu.RLock()
	plots := v.plots
	v.mu.RUnlock()
	if plots == nil {
		plots, err = t.c.OpenPlots(ctx, plot.Dir{Path: v.Path, Class: v.Class.String()})
		if err != nil {
			return errors.Join(err, closeLock(lock))
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.id, v.plots, v.lock, v.away = id, plots, lock, nil
	return nil
}

func closeLock(lock io.Closer) error {
	if lock == nil {
		return nil
	}
	return lock.Close()
}

// detach records that the volume is missing, and reports whether it was present before.
func (v *volume) detach(err error) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	was := v.away == nil
	v.away = err
	if v.lock != nil {
		v.lock.Close()
		v.lock = nil
	}
	return was
}

// close ends the use of the volume.
func (v *volume) close() error {
	v.detach(fs.ErrClosed)
	v.mu.Lock()
	defer v.mu.Unlock()
	if c, ok := v.plots.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// watch checks whether the volumes and the storage are present. It reports whether one has
// returned, so that the caller refreshes the index.
func (t *Tiers) watch(ctx context.Context) (returned bool) {
	t.watching.Lock()
	defer t.watching.Unlock()
	for _, v := range t.volumes {
		if ctx.Err() != nil {
			return returned
		}
		if v.err() == nil {
			if err := v.inPlace(); err != nil {
				t.lose(v, err)
			}
			continue
		}
		if err := t.attach(ctx, v); err != nil {
			v.detach(err)
			continue
		}
		returned = true
		t.notify(Event{Kind: VolumeReturned, Path: v.Path})
	}
	return t.watchStorage(ctx) || returned
}

// lose records that a volume is missing.
func (t *Tiers) lose(v *volume, err error) {
	if v.detach(err) {
		t.notify(Event{Kind: VolumeLost, Path: v.Path, Err: err})
	}
}

// watchStorage reports whether the storage has come back.
func (t *Tiers) watchStorage(ctx context.Context) bool {
	_, err := t.c.Storage.Generation(ctx, noStore, merkle.Hash{})
	if ctx.Err() != nil {
		return false
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	t.mu.Lock()
	was := t.storageErr
	t.storageErr = err
	t.mu.Unlock()
	switch {
	case err != nil && was == nil:
		t.notify(Event{Kind: StorageLost, Err: err})
	case err == nil && was != nil:
		t.notify(Event{Kind: StorageReturned})
		return true
	}
	return false
}

// guarded is the source of a volume for the index. A listing is used only if the volume is present
// before and after it. Removed generations are left out.
type guarded struct {
	v     *volume
	state *state.State
}

func (g guarded) Name() string { return g.v.source.Name() }

// Items implements index.Source.
func (g guarded) Items(ctx context.Context) iter.Seq2[index.Item, error] {
	return func(yield func(index.Item, error) bool) {
		var list []index.Item
		err := g.v.inPlace()
		if err == nil {
			list, err = collect(g.v.source.Items(ctx))
		}
		if err == nil {
			err = g.v.inPlace()
		}
		if err != nil {
			yield(index.Item{}, err)
			return
		}
		for _, it := range list {
			if !yield(it, nil) {
				return
			}
		}
	}
}

func collect[T any](seq iter.Seq2[T, error]) ([]T, error) {
	var list []T
	for x, err := range seq {
		if err != nil {
			return nil, err
		}
		list = append(list, x)
	}
	return list, nil
}

// Read implements index.Source.
func (g guarded) Read(ctx context.Context, it index.Item) iter.Seq2[index.Holding, error] {
	return func(yield func(index.Holding, error) bool) {
		for h, err := range g.v.source.Read(ctx, it) {
			if err == nil && g.state.IsRemoved(h.Key) {
				continue
			}
			if !yield(h, err) {
				return
			}
		}
	}
}

// present is the source of the storage for the index, without generations that were removed.
type present struct {
	*index.StorageSource
	state *state.State
}

// Items implements index.Source.
func (p present) Items(ctx context.Context) iter.Seq2[index.Item, error] {
	return func(yield func(index.Item, error) bool) {
		for it, err := range p.StorageSource.Items(ctx) {
			if err == nil && p.state.IsRemoved(it.Key) {
				continue
			}
			if !yield(it, err) {
				return
			}
		}
	}
}

// Refresh updates the index from the storage and the present volumes. Entries of missing volumes
// stay. Run calls it at its start and when a volume returns. The only error is that of ctx.
func (t *Tiers) Refresh(ctx context.Context) (*index.Report, error) {
	t.watch(ctx)
	return t.refresh(ctx)
}

func (t *Tiers) refresh(ctx context.Context) (*index.Report, error) {
	t.changing.Lock()
	defer t.changing.Unlock()
	t.indexing.Lock()
	defer t.indexing.Unlock()
	all := new(index.Report)
	failed, err := t.update(ctx, all, present{t.storageSource, t.state})
	if err != nil {
		return all, err
	}
	if !failed {
		t.mu.Lock()
		t.storageListed = true
		t.mu.Unlock()
	}
	for _, v := range t.volumes {
		if err := t.refreshVolume(ctx, v, all); err != nil {
			return all, err
		}
	}
	t.applyQuarantine()
	return all, t.finishRemovals(ctx)
}

// update updates the index from one source, and reports whether that could not be listed.
func (t *Tiers) update(ctx context.Context, all *index.Report, s index.Source) (bool, error) {
	r, err := t.index.Update(ctx, s)
	if r == nil {
		return true, err
	}
	all.Kept += r.Kept
	all.Read += r.Read
	all.Gone += r.Gone
	all.Damaged = append(all.Damaged, r.Damaged...)
	all.Failed = append(all.Failed, r.Failed...)
	return len(r.Failed) > 0, err
}

// refreshVolume reads the directory of a volume again. The caller holds indexing.
func (t *Tiers) refreshVolume(ctx context.Context, v *volume, all *index.Report) error {
	plots, err := v.open()
	if err != nil {
		all.Failed = append(all.Failed, fmt.Errorf("volume %s: %w", v.Path, err))
		return ctx.Err()
	}
	if _, err := plots.Scan(ctx); err != nil && ctx.Err() == nil {
		all.Failed = append(all.Failed, err)
	}
	if err := v.inPlace(); err != nil {
		t.lose(v, err)
	}
	ids := map[string]merkle.Hash{}
	for p := range plots.Plots() {
		ids[p.Path] = p.ID
	}
	failed, err := t.update(ctx, all, guarded{v, t.state})
	if err != nil {
		return err
	}
	if !failed && v.setStale(false) {
		for path := range ids {
			if err := t.reindexPlot(ctx, v, path); err != nil {
				v.setStale(true)
				all.Failed = append(all.Failed, err)
			}
		}
	}
	if failed {
		return nil
	}
	t.forgetChanged(v)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.listed, v.ids = true, ids
	return nil
}

// forgetChanged forgets that plots of a volume have passed full verification that are other files
// now, or gone.
func (t *Tiers) forgetChanged(v *volume) {
	var list []state.PlotStamp
	t.state.Read(func(d *state.Data) {
		for path, stamp := range d.Verified {
			if filepath.Dir(path) == v.Path {
				list = append(list, stamp)
			}
		}
	})
	for _, stamp := range list {
		info, err := v.fs.Lstat(stamp.Path)
		if err == nil && info.Size() == stamp.Size && info.ModTime().Equal(stamp.Modified) ||
			v.inPlace() != nil {
			continue
		}
		t.state.Note(func(s *state.Data) { delete(s.Verified, stamp.Path) })
	}
}

// plotID returns the id of the plot at a path.
func (t *Tiers) plotID(source, path string) (merkle.Hash, *volume) {
	for _, v := range t.volumes {
		if v.source.Name() != source {
			continue
		}
		v.mu.RLock()
		defer v.mu.RUnlock()
		return v.ids[path], v
	}
	return merkle.Hash{}, nil
}

// complete reports whether everything has been listed since the start, so that what the index does
// not know is absent.
func (t *Tiers) complete() bool {
	t.mu.Lock()
	listed := t.storageListed
	t.mu.Unlock()
	if !listed {
		return false
	}
	for _, v := range t.volumes {
		if !v.isListed() {
			return false
		}
	}
	return true
}
