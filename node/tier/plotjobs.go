package tier

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/capsule"
	"github.com/dig-network/digstore/merkle"
	"github.com/dig-network/digstore/node/economy"
	"github.com/dig-network/digstore/node/index"
	"github.com/dig-network/digstore/node/tier/internal/state"
	"github.com/dig-network/digstore/plot"
)

// Release removes loose content that is in plots which have passed full verification, when
// Settings.Release says so, and returns how many bytes were removed. Content that a generation
// outside of plots also names stays.
func (t *Tiers) Release(ctx context.Context) (int64, error) {
	if !t.c.Settings.Release {
		return 0, nil
	}
	t.plotting.Lock()
	defer t.plotting.Unlock()
	good := map[string]bool{} // plots by path
	var errs []error
	for _, v := range t.volumes {
		if v.inPlace() != nil {
			continue
		}
		for _, p := range v.held() {
			if err := t.verify(ctx, v, p.Path); err != nil {
				errs = append(errs, err)
				continue
			}
			good[p.Path] = true
		}
	}
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	n, err := t.releaseFrom(ctx, good)
	return n, errors.Join(append(errs, err)...)
}

// releaseFrom removes loose content that good plots have for every generation that names it.
func (t *Tiers) releaseFrom(ctx context.Context, good map[string]bool) (int64, error) {
	t.changing.Lock() // no commit relies on the content meanwhile
	defer t.changing.Unlock()
	needed := map[merkle.Hash]bool{}
	free := map[merkle.Hash]int64{}
	for _, id := range t.index.Stores() {
		for _, g := range t.index.Generations(id) {
			for d := range t.index.Capsules(g.Key) {
				loose, plotted := t.looseAndPlotted(g.Key, d.Index, good)
				switch {
				case !plotted:
					needed[d.Hash] = true
				case loose:
					free[d.Hash] = int64(d.Size)
				}
			}
		}
	}
	t.mu.Lock()
	for hash := range t.staged { // a session may commit it
		needed[hash] = true
	}
	t.mu.Unlock()
	var sum int64
	var hashes []merkle.Hash
	for hash, size := range free {
		if !needed[hash] {
			hashes = append(hashes, hash)
			sum += size
		}
	}
	if err := t.c.Storage.Release(ctx, hashes); err != nil {
		return 0, err
	}
	for _, hash := range hashes {
		t.index.Mark(storagePlace, hash, false)
	}
	return sum, nil
}

func (t *Tiers) looseAndPlotted(
	k index.Key, i uint32, good map[string]bool,
) (loose, plotted bool) {
	places, _ := t.index.Where(capsule.Ref{Store: k.Store, Root: k.Root, Index: i})
	for _, p := range places {
		if p.Source == storagePlace {
			loose = true
		} else if good[p.Name] {
			plotted = true
		}
	}
	return loose, plotted
}

// Age moves plots that have aged, or all of whose generations are superseded, from volumes of class
// SSD to those of class HDD that have room.
func (t *Tiers) Age(ctx context.Context) error {
	t.plotting.Lock()
	defer t.plotting.Unlock()
	var errs []error
	for _, v := range t.volumes {
		if v.Class != economy.SSD || v.inPlace() != nil {
			continue
		}
		for _, p := range v.held() {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if t.placeOf(ctx, p) == economy.SSD {
				continue
			}
			if err := t.demote(ctx, v, p); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// placeOf returns the class for a plot: that of its best tier.
func (t *Tiers) placeOf(ctx context.Context, p plot.Held) economy.Class {
	place := economy.Place{Age: t.c.Now().Sub(p.Created), Superseded: true}
	for _, d := range p.Datastores {
		if facts, err := t.c.Facts(ctx, d.Store); err != nil {
			return economy.SSD // it stays until Facts succeeds
		} else if facts.Tier.Better(place.Tier) {
			place.Tier = facts.Tier
		}
		head, err := t.index.Generation(d.Store, merkle.Hash{})
		if err != nil || head.Root == d.Root {
			place.Superseded = false
		}
	}
	return place.Class(t.c.Settings.DemotionAge)
}

// demote moves a plot to a volume of class HDD. Without one it stays.
func (t *Tiers) demote(ctx context.Context, from *volume, p plot.Held) error {
	var not []*volume
	slow := false
	for _, v := range t.volumes {
		_, err := v.fs.Lstat(filepath.Join(v.Path, filepath.Base(p.Path)))
		if v.Class != economy.HDD || !errors.Is(err, fs.ErrNotExist) {
			not = append(not, v)
		} else {
			slow = true
		}
	}
	if !slow {
		return nil
	}
	to, err := t.choose(economy.HDD, p.Size, not...)
	if err != nil {
		return err
	}
	job := &state.PlotJob{Volume: to.Path, From: p.Path}
	if err := t.state.Change(func(s *state.Data) { s.Plotting = job }); err != nil {
		return err
	}
	if _, err := t.copyPlot(ctx, from, p.Path, to); err != nil {
		return err
	}
	return t.endMove(ctx, from, to, job)
}

// endMove removes the plot that was copied, and ends the job.
func (t *Tiers) endMove(ctx context.Context, from, to *volume, job *state.PlotJob) error {
	if err := t.removePlot(ctx, from, job.From); err != nil {
		return err
	}
	name := filepath.Join(to.Path, filepath.Base(job.From))
	id, _ := t.plotID(to.source.Name(), name)
	t.notify(Event{Kind: PlotMoved, Plot: id, Path: name})
	return t.state.Change(func(s *state.Data) { s.Plotting = nil })
}

// continueMove completes an interrupted move: if the copy is complete it removes the original, and
// otherwise it keeps it.
func (t *Tiers) continueMove(ctx context.Context, to *volume, job *state.PlotJob) error {
	name := filepath.Join(to.Path, filepath.Base(job.From))
	from := t.volumeAt(filepath.Dir(job.From))
	if from != nil && from.inPlace() != nil {
		return from.explain(from.inPlace())
	}
	_, err := to.fs.Lstat(name)
	if from == nil || errors.Is(err, fs.ErrNotExist) {
		return t.state.Change(func(s *state.Data) { s.Plotting = nil })
	}
	if _, err := t.adopt(ctx, to, name); err != nil {
		return err
	}
	return t.endMove(ctx, from, to, job)
}

// Limits at which a plot is rewritten.
const (
	deadShare    = 4 // a quarter of the content is removed
	revokedAfter = 24 * time.Hour
)

// Compact rewrites plots without their removed content, if a quarter of the content is removed, or
// if they have held revoked content for 24 hours. A plot without remaining content is removed.
func (t *Tiers) Compact(ctx context.Context) error {
	t.plotting.Lock()
	defer t.plotting.Unlock()
	var errs []error
	for _, v := range t.volumes {
		if v.inPlace() != nil {
			continue
		}
		for _, p := range v.held() {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if !t.mentionsRemoved(p) {
				continue
			}
			if err := t.compact(ctx, v, p); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

func (t *Tiers) mentionsRemoved(p plot.Held) bool {
	return slices.ContainsFunc(p.Datastores, func(d plot.Datastore) bool {
		return t.state.IsRemoved(index.Key{Store: d.Store, Root: d.Root})
	})
}

func (t *Tiers) compact(ctx context.Context, v *volume, p plot.Held) error {
	all, err := collect(v.source.Read(ctx, index.Item{Name: p.Path}))
	if err != nil {
		return v.explain(err)
	}
	var live []index.Holding
	var dead, total int64
	due := false
	for _, h := range all {
		var n int64
		for _, d := range h.Capsules {
			n += int64(d.Size)
		}
		total += n
		if !t.state.IsRemoved(h.Key) {
			live = append(live, h)
			continue
		}
		dead += n
		due = due || t.state.RevokedFor(h.Key, t.c.Now()) >= revokedAfter
	}
	if dead*deadShare < total && !due {
		return nil
	}
	if len(live) > 0 {
		if err := t.rewrite(ctx, v, live); err != nil {
			return err
		}
	}
	return t.removePlot(ctx, v, p.Path)
}

// rewrite makes a plot of the remaining content of another one, on a volume of the same class.
func (t *Tiers) rewrite(ctx context.Context, v *volume, live []index.Holding) error {
	plan := &plotPlan{class: v.Class}
	type place struct {
		store auth.StoreID
		index uint32
	}
	held := map[place]bool{}
	for _, h := range live {
		m, err := t.manifestOf(ctx, h)
		if err != nil {
			return err
		}
		plan.manifests = append(plan.manifests, m)
		for _, d := range h.Capsules {
			held[place{h.Store, d.Index}] = true
			plan.size += int64(d.Size)
		}
	}
	plan.keep = func(s auth.StoreID, d capsule.Descriptor) bool { return held[place{s, d.Index}] }
	to, err := t.choose(plan.class, plan.size)
	if err != nil {
		return err
	}
	_, err = t.writePlot(ctx, to, plan)
	if errors.Is(err, fs.ErrExist) {
		return nil // written before a crash
	}
	return err
}

// manifestOf returns the manifest of a generation in a plot: from the storage, or from the plot
// itself if it holds the whole generation.
func (t *Tiers) manifestOf(ctx context.Context, h index.Holding) (*capsule.Manifest, error) {
	g, err := t.c.Storage.Generation(ctx, h.Store, h.Root)
	if err == nil {
		return g.Manifest, nil
	}
	if !errors.Is(err, fs.ErrNotExist) || uint32(len(h.Capsules)) != h.Count {
		return nil, fmt.Errorf("manifest of root %v of store %v: %w", h.Root, h.Store, err)
	}
	return &capsule.Manifest{Store: h.Store, Root: h.Root, Created: h.Created,
		Capsules: h.Capsules}, nil
}

// plotJobs runs the jobs about plots one after the other.
func (t *Tiers) plotJobs(ctx context.Context) error {
	var errs []error
	if t.c.Settings.AutoPlot {
		_, err := t.AutoPlot(ctx)
		errs = append(errs, err)
	}
	_, err := t.Release(ctx)
	errs = append(errs, err, t.Age(ctx), t.Compact(ctx))
	return errors.Join(errs...)
}
