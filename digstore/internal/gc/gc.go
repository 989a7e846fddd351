// Package gc drops generations of a store, and the chunks that only they use (LAYOUT.md 12.4).
package gc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/dig-network/digstore/digstore/internal/damage"
	"github.com/dig-network/digstore/digstore/internal/history"
	"github.com/dig-network/digstore/digstore/internal/incoming"
	"github.com/dig-network/digstore/digstore/internal/namedir"
	"github.com/dig-network/digstore/digstore/internal/recipedir"
	"github.com/dig-network/digstore/digstore/internal/storedir"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// Options select what is kept; see digstore.GCOptions.
type Options struct {
	Keep     int
	Roots    []merkle.Hash
	Progress func(done, total int64)
}

// A Report says what was removed; see digstore.GCReport.
type Report struct {
	Dropped   []module.Generation
	Freed     int64
	Transfers int
}

// Run drops the generations that are not kept. The caller holds the lock of the store and has read
// h under it. What is kept stays readable throughout: Run first copies the chunks that are needed
// and rewrites the recipes that are built on dropped ones, and then removes files. While
// generations are being received it removes no pack.
func Run(ctx context.Context, d *storedir.Dir, h *history.History, o Options) (*Report, error) {
	c := &collection{d: d, o: o, h: h, report: &Report{}, live: map[merkle.Hash]bool{},
		repeated: map[merkle.Hash]bool{}}
	if err := d.Announce(nil); err != nil {
		return nil, err
	}
	if err := c.choose(); err != nil {
		return nil, err
	}
	var err error
	if c.report.Transfers, err = incoming.Running(ctx, d.FS, d.Incoming()); err != nil {
		return nil, err
	}
	if c.report.Transfers == 0 {
		if err := c.compact(ctx); err != nil {
			return nil, err
		}
	}
	if err := c.rebase(); err != nil {
		return nil, err
	}
	if err := c.keepNames(); err != nil {
		return nil, err
	}
	if err := c.remove(ctx); err != nil {
		return nil, err
	}
	if head, ok := h.Head(); ok {
		if err := d.Announce(&head.Root); err != nil {
			return nil, err
		}
	}
	return c.report, nil
}

// collection is one run of gc.
type collection struct {
	d      *storedir.Dir
	o      Options
	h      *history.History
	report *Report
	kept   []module.Generation
	live   map[merkle.Hash]bool // chunks
	dead   []string             // packs to be removed

	repeated map[merkle.Hash]bool // roots with several lines
}

// choose decides which generations and chunks stay.
func (c *collection) choose() error {
	all := c.o.Keep <= 0 && len(c.o.Roots) == 0
	for _, r := range c.o.Roots {
		if _, ok, err := c.h.Find(r); err != nil {
			return err
		} else if !ok {
			return fmt.Errorf("keep root %s: %w", r, fs.ErrNotExist)
		}
	}
	lines, err := c.h.Every()
	if err != nil {
		return err
	}
	latest := make(map[merkle.Hash]int, len(lines)) // index of the latest line of each root
	for i, g := range lines {
		if _, ok := latest[g.Root]; ok {
			c.repeated[g.Root] = true
		}
		latest[g.Root] = i
	}
	for i, g := range lines {
		if latest[g.Root] != i {
			continue
		}
		there, err := c.d.Recipes.Has(g.Root)
		if err != nil {
			return err
		}
		if !there {
			continue
		}
		last := len(lines) - i
		if all || last == 1 || last <= c.o.Keep || slices.Contains(c.o.Roots, g.Root) {
			c.kept = append(c.kept, g)
		} else {
			c.report.Dropped = append(c.report.Dropped, g)
		}
	}
	c.d.Packs.Reload() // another process may have moved chunks
	for _, g := range c.kept {
		kept, err := c.d.Recipes.Read(g.Root)
		if err != nil {
			return err
		}
		for _, ch := range kept.Recipe.Pool() {
			if c.live[ch.ID] {
				continue
			}
			there, err := c.d.Packs.Has(ch.ID)
			if err != nil {
				return err
			}
			if !there { // what would be dropped may be the only undamaged generation
				return damage.In(c.d.Packs.Path(), "chunk %s of generation %d is missing", ch.ID, g.Number)
			}
			c.live[ch.ID] = true
		}
	}
	roots, err := c.d.Pending.Roots()
	if err != nil {
		return err
	}
	for _, root := range roots {
		recipe, err := c.d.PendingRecipe(root)
		if err != nil {
			return err
		}
		for _, ch := range recipe.Pool() {
			c.live[ch.ID] = true
		}
	}
	return nil
}

// compact copies the live chunks of packs with dead chunks to a new pack.
func (c *collection) compact(ctx context.Context) error {
	done, err := c.d.Packs.Compact(ctx, c.live, c.o.Progress)
	c.dead, c.report.Freed = done.Dead, done.Freed
	return err
}

// rebase rewrites the recipes that are built on a dropped one.
func (c *collection) rebase() error {
	if len(c.report.Dropped) == 0 {
		return nil
	}
	keep := map[merkle.Hash]bool{}
	for _, g := range c.kept {
		keep[g.Root] = true
	}
	only := func(n uint64) (root merkle.Hash, ok bool) {
		g, err := c.h.Line(n)
		return g.Root, err == nil && keep[g.Root]
	}
	changed := false
	for _, g := range c.kept {
		kept, err := c.d.Recipes.ReadBody(g.Root)
		if err != nil {
			return err
		}
		if kept.Depth() == 0 || keep[kept.Base()] {
			continue
		}
		number := g.Number
		if c.repeated[g.Root] { // as in publish
			number = 0
		}
		b, err := recipedir.EncodeOn(kept, c.d.Recipes.Base(only, number))
		if err != nil {
			return err
		}
		name := c.d.Recipes.Path(g.Root)
		if err := diskfs.WriteNew(c.d.FS, name+".tmp", b, 0o644, true); err != nil {
			return err
		}
		if err := c.d.FS.Rename(name+".tmp", name); err != nil {
			return err
		}
		changed = true
		c.d.Recipes.Forget()
	}
	if changed {
		return c.d.SyncDirs(recipedir.SubDir)
	}
	return nil
}

// keepNames keeps the names that only the dropped generations may have.
func (c *collection) keepNames() error {
	var roots []merkle.Hash
	for _, g := range c.report.Dropped {
		roots = append(roots, g.Root)
	}
	set := namedir.Set{}
	if err := c.d.AddNames(set, roots); err != nil {
		return err
	}
	_, err := c.d.Learn(slices.Collect(maps.Keys(set)))
	return err
}

// remove deletes what is no longer needed: the recipes, then the index files that cover dead packs,
// then the dead packs.
func (c *collection) remove(ctx context.Context) error {
	d := c.d
	if err := c.noteDropped(); err != nil {
		return err
	}
	if err := c.removeRecipes(); err != nil {
		return err
	}
	if err := c.removePacks(ctx); err != nil {
		return err
	}
	d.Packs.Reload()
	d.Packs.Tidy()
	return incoming.Sweep(ctx, d.FS, d.Incoming(), incoming.None)
}

// removePacks deletes the dead packs, unless generations are being received. It holds the gate of
// transfers, so that none begins before the packs are gone.
func (c *collection) removePacks(ctx context.Context) error {
	d := c.d
	if len(c.dead) == 0 {
		return nil
	}
	gate, n, err := incoming.Hold(ctx, d.FS, d.Incoming())
	if err != nil {
		return err
	}
	defer gate.Close()
	if n > 0 { // a transfer has begun since
		c.report.Transfers, c.report.Freed = n, 0
		return nil
	}
	if err := d.Packs.DropIndex(c.dead); err != nil {
		// a remaining index could cover a later pack with the same name
		return err
	}
	if err := d.SyncPacks(); err != nil {
		return err
	}
	for _, name := range c.dead {
		if err := d.Packs.Remove(name); err != nil {
			return err
		}
	}
	return d.SyncPacks()
}

// noteDropped records the lines whose generations are dropped.
func (c *collection) noteDropped() error {
	if len(c.report.Dropped) == 0 || !c.h.Proven() {
		return nil
	}
	dropped, err := c.d.Log.Dropped()
	if err != nil {
		return err
	}
	for _, g := range c.report.Dropped {
		dropped = dropped.With(g.Number, g.Number+1)
	}
	return c.d.Log.SetDropped(dropped)
}

// removeRecipes deletes the recipes of dropped generations. Each is deleted, durably, after all
// recipes that are built on it, so that the remaining ones are readable after a crash.
func (c *collection) removeRecipes() error {
	d := c.d
	level := make(map[merkle.Hash]int, len(c.report.Dropped))
	deepest := 0
	for _, g := range c.report.Dropped {
		kept, err := d.Recipes.ReadBody(g.Root)
		if errors.Is(err, module.ErrDamaged) { // no other recipe needs a damaged one
			continue
		}
		if err != nil {
			return err
		}
		level[g.Root] = kept.Depth()
		deepest = max(deepest, kept.Depth())
	}
	defer d.Recipes.Forget()
	for depth := deepest; depth >= 0; depth-- {
		removed := false
		for _, g := range c.report.Dropped {
			if level[g.Root] != depth {
				continue
			}
			if err := d.FS.Remove(d.Recipes.Path(g.Root)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			removed = true
		}
		if removed {
			if err := d.SyncDirs(recipedir.SubDir); err != nil {
				return err
			}
		}
	}
	return nil
}
