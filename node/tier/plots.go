package tier

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/economy"
	"github.com/dig-network/digstore/node/index"
	"github.com/dig-network/digstore/node/policy"
	"github.com/dig-network/digstore/node/tier/internal/state"
	"github.com/dig-network/digstore/plot"
)

// PlotRequest says what goes into a plot.
type PlotRequest struct {
	// Generations are at most one of each datastore; a zero Root is the head. The plot gets their
	// held capsules.
	Generations []index.Key
	// Keep selects among the held capsules. nil: all.
	Keep func(auth.StoreID, capsule.Descriptor) bool
	// Class is where the plot goes. 0: where the tiers of its datastores place it.
	Class economy.Class
	// Compression overrides that of the settings.
	Compression plot.Compression
	// Progress may be nil.
	Progress func(plot.Progress)
}

// plotPlan is a plot that is to be made.
type plotPlan struct {
	manifests   []*capsule.Manifest
	keep        func(auth.StoreID, capsule.Descriptor) bool
	size        int64 // of the content
	class       economy.Class
	compression plot.Compression
	resume      bool
	progress    func(plot.Progress)
}

// CreatePlot makes a plot, verifies it in full and adds it to the index. It makes one plot at a
// time. Errors are fs.ErrNotExist if nothing is held, fs.ErrExist if the plot exists, ErrMaxPlots,
// and ErrNoSpace if no volume has room.
func (t *Tiers) CreatePlot(ctx context.Context, r PlotRequest) (*plot.Info, error) {
	t.plotting.Lock()
	defer t.plotting.Unlock()
	p, err := t.planPlot(ctx, r)
	if err != nil {
		return nil, err
	}
	v, err := t.choose(p.class, p.size)
	if err != nil {
		return nil, err
	}
	return t.writePlot(ctx, v, p)
}

// planPlot looks up what a plot will hold.
func (t *Tiers) planPlot(ctx context.Context, r PlotRequest) (*plotPlan, error) {
	p := &plotPlan{compression: r.Compression, progress: r.Progress, class: r.Class}
	held := map[merkle.Hash]bool{}
	best := economy.NoTier
	for _, k := range r.Generations {
		g, err := t.Generation(ctx, k.Store, k.Root)
		if err != nil {
			return nil, err
		}
		k.Root = g.Manifest.Root
		p.manifests = append(p.manifests, g.Manifest)
		for d, have := range t.index.Capsules(k) {
			if have && (r.Keep == nil || r.Keep(k.Store, d)) && !held[d.Hash] {
				held[d.Hash] = true
				p.size += int64(d.Size)
			}
		}
		facts, err := t.c.Facts(ctx, k.Store)
		if err == nil && facts.Tier.Better(best) {
			best = facts.Tier
		}
	}
	if len(held) == 0 {
		return nil, fmt.Errorf("create plot: capsule that is held: %w", fs.ErrNotExist)
	}
	p.keep = func(s auth.StoreID, d capsule.Descriptor) bool {
		return held[d.Hash] && (r.Keep == nil || r.Keep(s, d))
	}
	if p.class == 0 {
		p.class = economy.Place{Tier: best}.Class(t.c.Settings.DemotionAge)
	}
	return p, nil
}

// room returns the number of bytes that may be written to a volume: the smaller of the free space
// beyond the reserve and the rest of the quota.
func (t *Tiers) room(v *volume) (int64, error) {
	var used int64
	for _, p := range v.held() {
		used += p.Size
	}
	free, err := t.c.Free(v.Path)
	if err != nil {
		return 0, v.explain(err)
	}
	room := free - int64(policy.Reserve(uint64(used+free)))
	if v.Quota > 0 {
		room = min(room, v.Quota-used)
	}
	return max(0, room), nil
}

// choose returns the volume for a plot with size bytes of content: the one with the most room, of
// the given class if one has room.
func (t *Tiers) choose(class economy.Class, size int64, not ...*volume) (*volume, error) {
	need := size + size*3/100
	var best *volume
	var most int64
	var errs []error
	for _, v := range t.volumes {
		if slices.Contains(not, v) {
			continue
		}
		room, err := t.room(v)
		if away := v.inPlace(); away != nil {
			err = v.explain(away)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		better := best == nil || v.Class == class && best.Class != class ||
			v.Class == best.Class && room > most
		if room >= need && better {
			best, most = v, room
		}
	}
	if best != nil {
		return best, nil
	}
	err := fmt.Errorf("%w: no volume has room for a plot of %d bytes", ErrNoSpace, need)
	return nil, errors.Join(append(errs, err)...)
}

// writePlot makes a plot on a volume, verifies it in full and adds it to the index. The caller
// holds plotting.
func (t *Tiers) writePlot(ctx context.Context, v *volume, p *plotPlan) (*plot.Info, error) {
	s := t.c.Settings
	if t.c.Key == nil {
		return nil, fmt.Errorf("create plot: no key: %w", errors.ErrUnsupported)
	}
	if n := len(t.Plots()); n >= s.MaxPlots {
		return nil, fmt.Errorf("create plot: %w: %w: %d, found %d", ErrNoSpace, ErrMaxPlots,
			max(0, s.MaxPlots), n)
	}
	w, err := plot.Create(ctx, v.Path, p.manifests, t.c.Key, &plot.Options{
		Compression: cmp.Or(p.compression, s.Compression), Difficulty: s.Difficulty,
		Created: t.c.Now(), Keep: p.keep, Workers: s.PlotWorkers, Worker: t.c.Work,
		Resume: p.resume, Progress: p.progress, FS: t.c.FS,
	})
	var exists *plot.ExistsError
	if errors.As(err, &exists) && p.resume {
		return t.adopt(ctx, v, exists.Path) // sealed before a crash
	}
	if err != nil {
		return nil, noSpace(err)
	}
	info, err := t.fill(ctx, w)
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, noSpace(v.explainIO(err))
	}
	return t.adopt(ctx, v, info.Path)
}

// fill gives a Writer its content and seals it.
func (t *Tiers) fill(ctx context.Context, w *plot.Writer) (*plot.Info, error) {
	for {
		_, d, ok := w.Next()
		if !ok {
			return w.Seal(ctx)
		}
		rc, err := t.openDisk(ctx, d)
		if err != nil {
			return nil, err
		}
		_, plotted := rc.(*plotReader)
		err = w.Add(ctx, d, rc)
		if errors.Is(err, capsule.ErrContentMismatch) && !plotted {
			t.damagedInStorage(d, err)
		}
		if err = errors.Join(err, rc.Close()); err != nil {
			return nil, err
		}
	}
}

// explainIO adds to an error that the volume is missing, if it is.
func (v *volume) explainIO(err error) error {
	if away := v.inPlace(); away != nil {
		return errors.Join(v.explain(away), err)
	}
	return err
}

// adopt verifies a plot file in full and adds it to the index. It removes a file that fails.
func (t *Tiers) adopt(ctx context.Context, v *volume, path string) (*plot.Info, error) {
	info, err := t.takeUp(ctx, v, path)
	if err == nil {
		return info, nil
	}
	var bad *plot.FormatError
	if errors.As(err, &bad) && v.inPlace() == nil {
		err = errors.Join(err, t.removePlot(ctx, v, path))
	}
	return nil, err
}

func (t *Tiers) takeUp(ctx context.Context, v *volume, path string) (*plot.Info, error) {
	if err := t.rescan(ctx, v); err != nil {
		return nil, err
	}
	if err := t.verify(ctx, v, path); err != nil {
		return nil, err
	}
	for _, p := range v.held() {
		if p.Path == path {
			t.notify(Event{Kind: PlotCreated, Plot: p.ID, Path: path, Bytes: p.Size})
			return p.Info, nil
		}
	}
	return nil, v.explain(fmt.Errorf("plot %s: %w", path, fs.ErrNotExist))
}

// rescan updates the index from one volume.
func (t *Tiers) rescan(ctx context.Context, v *volume) error {
	t.indexing.Lock()
	defer t.indexing.Unlock()
	r := new(index.Report)
	err := t.refreshVolume(ctx, v, r)
	return errors.Join(append(r.Failed, err)...)
}

// verify verifies a plot in full, unless the same file has passed before.
func (t *Tiers) verify(ctx context.Context, v *volume, path string) error {
	info, err := v.fs.Lstat(path)
	if err != nil {
		return v.explain(err)
	}
	now := state.PlotStamp{Path: path, Size: info.Size(), Modified: info.ModTime().UTC()}
	now.ID, _ = t.plotID(v.source.Name(), path)
	var was state.PlotStamp
	t.state.Read(func(d *state.Data) { was = d.Verified[path] })
	if was.ID == now.ID && was.Size == now.Size && was.Modified.Equal(now.Modified) {
		return nil
	}
	plots, err := v.open()
	if err != nil {
		return v.explain(err)
	}
	if _, err := plots.Verify(ctx, path, plot.Full, nil); err != nil {
		return v.explainIO(err)
	}
	return t.state.Change(func(s *state.Data) { s.Verified[path] = now })
}

// removePlot removes a plot file. The caller holds plotting.
func (t *Tiers) removePlot(ctx context.Context, v *volume, path string) error {
	if away := v.inPlace(); away != nil {
		return v.explain(away)
	}
	id, _ := t.plotID(v.source.Name(), path)
	if err := v.fs.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return noSpace(err)
	}
	synced := noSpace(v.fs.SyncDir(v.Path))
	t.state.Note(func(s *state.Data) { delete(s.Verified, path) })
	t.notify(Event{Kind: PlotRemoved, Plot: id, Path: path})
	return errors.Join(synced, t.rescan(ctx, v))
}

// waiting is a head that is in no plot.
type waiting struct {
	index.Key
	bytes int64
	since time.Time
	class economy.Class
}

// unplotted returns the heads that are held and not wholly in plots, the oldest first.
func (t *Tiers) unplotted(ctx context.Context) ([]waiting, error) {
	var list []waiting
	now := t.c.Now()
	for _, id := range t.index.Stores() {
		g, err := t.index.Generation(id, merkle.Hash{})
		if err != nil || t.state.IsRemoved(g.Key) || g.Held < g.Count || t.isPlotted(g) {
			continue
		}
		facts, err := t.c.Facts(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("facts about store %v: %w", id, err)
		}
		all, err := t.generations(ctx, id)
		if err != nil {
			return nil, err
		}
		since := now
		if len(all) > 0 && all[0].Root == g.Root {
			since = all[0].received()
		}
		list = append(list, waiting{g.Key, int64(g.Bytes), since,
			economy.Place{Tier: facts.Tier}.Class(t.c.Settings.DemotionAge)})
	}
	slices.SortStableFunc(list, func(a, b waiting) int { return a.since.Compare(b.since) })
	return list, ctx.Err()
}

// isPlotted reports whether plots have every capsule of a generation.
func (t *Tiers) isPlotted(g index.Generation) bool {
	for d := range t.index.Capsules(g.Key) {
		places, err := t.index.Where(capsule.Ref{Store: g.Store, Root: g.Root, Index: d.Index})
		inPlot := func(p index.Place) bool { return p.Source != storagePlace }
		if err != nil || !slices.ContainsFunc(places, inPlot) {
			return false
		}
	}
	return true
}

// AutoPlot makes plots of heads that are in no plot: for each class, when they have
// Settings.PlotBytes, or one of them has waited for Settings.PlotAge. A plot that was interrupted
// is continued first.
func (t *Tiers) AutoPlot(ctx context.Context) ([]*plot.Info, error) {
	t.plotting.Lock()
	defer t.plotting.Unlock()
	var made []*plot.Info
	if info, err := t.continuePlot(ctx); err != nil {
		return nil, err
	} else if info != nil {
		made = append(made, info)
	}
	t.sweep()
	list, err := t.unplotted(ctx)
	if err != nil {
		return made, err
	}
	for _, class := range []economy.Class{economy.SSD, economy.HDD} {
		rest := slices.DeleteFunc(slices.Clone(list), func(w waiting) bool { return w.class != class })
		for {
			var batch []waiting
			batch, rest = t.batch(rest)
			if len(batch) == 0 {
				break
			}
			info, err := t.plotBatch(ctx, batch)
			if err != nil {
				return made, err
			}
			made = append(made, info)
		}
	}
	return made, nil
}

// batch takes the heads of one plot off a list, if it is time for one.
func (t *Tiers) batch(list []waiting) (batch, rest []waiting) {
	s := t.c.Settings
	var sum int64
	for i, w := range list {
		if sum += w.bytes; sum >= s.PlotBytes {
			return list[:i+1], list[i+1:]
		}
	}
	if len(list) > 0 && t.c.Now().Sub(list[0].since) >= s.PlotAge {
		return list, nil
	}
	return nil, list
}

func (t *Tiers) plotBatch(ctx context.Context, batch []waiting) (*plot.Info, error) {
	job := &state.PlotJob{}
	for _, w := range batch {
		job.Keys = append(job.Keys, w.Key)
	}
	p, err := t.planPlot(ctx, PlotRequest{Generations: job.Keys, Class: batch[0].class})
	if err != nil {
		return nil, err
	}
	v, err := t.choose(p.class, p.size)
	if err != nil {
		return nil, err
	}
	job.Volume = v.Path
	if err := t.state.Change(func(s *state.Data) { s.Plotting = job }); err != nil {
		return nil, err
	}
	return t.finishJob(ctx, v, p)
}

// finishJob writes the plot of the job in the state, and ends the job unless it can be continued.
func (t *Tiers) finishJob(ctx context.Context, v *volume, p *plotPlan) (*plot.Info, error) {
	p.resume = true
	info, err := t.writePlot(ctx, v, p)
	if err != nil && (ctx.Err() != nil || v.inPlace() != nil) {
		return nil, err
	}
	return info, errors.Join(err, t.state.Change(func(s *state.Data) { s.Plotting = nil }))
}

// continuePlot finishes what an earlier run has begun.
func (t *Tiers) continuePlot(ctx context.Context) (*plot.Info, error) {
	var job *state.PlotJob
	t.state.Read(func(d *state.Data) { job = d.Plotting })
	if job == nil {
		return nil, nil
	}
	v := t.volumeAt(job.Volume)
	if v != nil && v.inPlace() != nil {
		return nil, v.explain(v.inPlace())
	}
	if v != nil && job.From != "" {
		return nil, t.continueMove(ctx, v, job)
	}
	p, err := t.planPlot(ctx, PlotRequest{Generations: job.Keys})
	if v == nil || errors.Is(err, fs.ErrNotExist) { // the volume or a generation was removed
		return nil, t.state.Change(func(s *state.Data) { s.Plotting = nil })
	}
	if err != nil {
		return nil, err
	}
	return t.finishJob(ctx, v, p)
}

func (t *Tiers) volumeAt(path string) *volume {
	for _, v := range t.volumes {
		if v.Path == path {
			return v
		}
	}
	return nil
}

// copySuffix is the suffix of a plot that is being copied.
const copySuffix = ".copy"

// sweep removes the files of interrupted plots that will not be continued. It ignores errors.
func (t *Tiers) sweep() {
	for _, v := range t.volumes {
		list, err := v.fs.ReadDir(v.Path)
		if err != nil || v.inPlace() != nil {
			continue
		}
		for _, e := range list {
			name := e.Name()
			rest, isPlot := strings.CutPrefix(name, "dig-")
			_, suffix, ok := strings.Cut(rest, ".plot")
			left := []string{".tmp", ".sub", ".job", ".job.tmp", ".lock", copySuffix}
			if isPlot && ok && slices.Contains(left, suffix) {
				_ = v.fs.Remove(filepath.Join(v.Path, name)) // after an error only space is lost
			}
		}
	}
}

// Backup copies a plot to another volume, of class HDD if one has room. The copy is used if the
// first file cannot be read, and to repair it.
func (t *Tiers) Backup(ctx context.Context, id merkle.Hash) (*plot.Info, error) {
	t.plotting.Lock()
	defer t.plotting.Unlock()
	var from *volume
	var held plot.Held
	var have []*volume
	for _, v := range t.volumes {
		for _, p := range v.held() {
			if p.ID == id {
				from, held, have = v, p, append(have, v)
			}
		}
	}
	if from == nil {
		return nil, t.absent(fmt.Errorf("plot %v: %w", id, fs.ErrNotExist))
	}
	to, err := t.choose(economy.HDD, held.Size, have...)
	if err != nil {
		return nil, err
	}
	return t.copyPlot(ctx, from, held.Path, to)
}

// copyPlot copies a plot file to another volume, where it is verified in full.
func (t *Tiers) copyPlot(
	ctx context.Context, from *volume, path string, to *volume,
) (*plot.Info, error) {
	name := filepath.Join(to.Path, filepath.Base(path))
	if _, err := to.fs.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(err, &fs.PathError{Op: "copy plot to", Path: name, Err: fs.ErrExist})
	}
	if err := t.copyFile(ctx, from, path, to, name); err != nil {
		return nil, noSpace(to.explainIO(from.explainIO(err)))
	}
	return t.adopt(ctx, to, name)
}

func (t *Tiers) copyFile(
	ctx context.Context, from *volume, path string, to *volume, name string,
) error {
	src, _, err := diskfs.OpenRegular(from.fs, path, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := to.fs.OpenFile(name+copySuffix, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(onlyWriter{dst}, contextReader{ctx, src}, make([]byte, 1<<20))
	if err == nil {
		err = dst.Sync()
	}
	if err = errors.Join(err, dst.Close()); err == nil {
		err = to.fs.Rename(name+copySuffix, name)
	}
	if err != nil {
		_ = to.fs.Remove(name + copySuffix) // after an error sweep removes it
		return err
	}
	return to.fs.SyncDir(to.Path)
}

type onlyWriter struct{ io.Writer }

// contextReader ends with its context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}
