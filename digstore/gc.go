package digstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/dig-network/digstore/digstore/internal/history"
	"github.com/dig-network/digstore/digstore/internal/incoming"
	"github.com/dig-network/digstore/digstore/internal/recipefile"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/internal/diskfs"
	"github.com/dig-network/digstore/merkle"
)

// GCOptions say what is kept. The head always is. nil keeps every generation and removes only what
// none of them needs.
type GCOptions struct {
	// Keep is how many of the newest generations are kept; 0, with no Roots, means all.
	Keep int
	// Roots are generations that are kept besides.
	Roots []merkle.Hash
	// Progress is called with bytes of chunks copied and to be copied.
	Progress func(done, total int64)
}

// A GCReport says what gc removed.
type GCReport struct {
	Dropped []module.Generation // no longer held
	Freed   int64               // bytes of packs
	// Transfers is how many generations were being received meanwhile. They may count on chunks that
	// nothing else needs, so with one or more no pack was removed, and the next gc removes them.
	Transfers int
}

// GC drops generations that are no longer wanted, and the chunks that only they used. Their lines
// stay in the history, as not held. Whatever it is interrupted by, everything that is kept can be
// read all the time: what is still needed of a pack is copied to a new one, and recipes that are
// built on dropped ones are rewritten, before anything is removed. While generations are being
// received no pack is removed.
func (s *Store) GC(ctx context.Context, o *GCOptions) (*GCReport, error) {
	if o == nil {
		o = &GCOptions{}
	}
	l, h, err := s.lockClean(ctx)
	if err != nil {
		return nil, fmt.Errorf("gc: %w", err)
	}
	defer l.Close()
	c := &collection{s: s, o: o, h: h, report: &GCReport{}, live: map[merkle.Hash]bool{},
		repeated: map[merkle.Hash]bool{}}
	if err := s.intend(nil, s.nextSerial()); err != nil {
		return nil, fmt.Errorf("gc: %w", err)
	}
	if err := c.choose(); err != nil {
		return nil, fmt.Errorf("gc: %w", err)
	}
	if c.report.Transfers, err = incoming.Running(ctx, s.w.fs, s.incomingDir()); err != nil {
		return nil, fmt.Errorf("gc: %w", err)
	}
	if c.report.Transfers == 0 {
		if err := c.compact(ctx); err != nil {
			return nil, fmt.Errorf("gc: %w", err)
		}
	}
	if err := c.rebase(); err != nil {
		return nil, fmt.Errorf("gc: %w", err)
	}
	if err := c.keepNames(); err != nil {
		return nil, fmt.Errorf("gc: %w", err)
	}
	if err := c.remove(ctx); err != nil {
		return nil, fmt.Errorf("gc: %w", err)
	}
	if head, ok := h.Head(); ok {
		if err := s.intend(&head.Root, s.nextSerial()); err != nil {
			return nil, fmt.Errorf("gc: %w", err)
		}
	}
	return c.report, nil
}

type collection struct {
	s      *Store
	o      *GCOptions
	h      *history.History
	report *GCReport
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
	latest := make(map[merkle.Hash]int, len(lines)) // of a root with several lines, the latest counts
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
		there, err := c.s.holds(g.Root)
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
	c.s.packs.Reload() // others may have moved chunks
	for _, g := range c.kept {
		kept, err := c.s.recipe(g.Root)
		if err != nil {
			return err
		}
		for _, ch := range kept.Recipe.Pool() {
			if c.live[ch.ID] {
				continue
			}
			there, err := c.s.packs.Has(ch.ID)
			if err != nil {
				return err
			}
			if !there { // what would be dropped may be all that is whole
				return corrupt(c.s.packs.Path(), "chunk %s of generation %d is missing", ch.ID, g.Number)
			}
			c.live[ch.ID] = true
		}
	}
	roots, err := c.s.pendingRoots()
	if err != nil {
		return err
	}
	for _, root := range roots {
		recipe, err := c.s.pendingRecipe(root)
		if err != nil {
			return err
		}
		for _, ch := range recipe.Pool() {
			c.live[ch.ID] = true
		}
	}
	return nil
}

// compact copies what is needed of packs that are not needed as a whole to a new pack.
func (c *collection) compact(ctx context.Context) error {
	done, err := c.s.packs.Compact(ctx, c.live, c.o.Progress)
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
		kept, err := c.s.readBody(g.Root, 0)
		if err != nil {
			return err
		}
		if kept.depth == 0 || keep[kept.base] {
			continue
		}
		number := g.Number
		if c.repeated[g.Root] { // as in publish
			number = 0
		}
		b, err := recipefile.Encode(kept.bytes, c.s.baseOf(only, number))
		if err != nil {
			return err
		}
		name := c.s.recipeName(g.Root)
		if err := diskfs.WriteNew(c.s.w.fs, name+".tmp", b, 0o644, true); err != nil {
			return err
		}
		if err := c.s.w.fs.Rename(name+".tmp", name); err != nil {
			return err
		}
		changed = true
		c.s.mu.Lock()
		c.s.cache = recipeCache{}
		c.s.mu.Unlock()
	}
	if changed {
		return c.s.syncDirs("recipes")
	}
	return nil
}

// keepNames keeps the names that only the dropped generations may have.
func (c *collection) keepNames() error {
	var roots []merkle.Hash
	for _, g := range c.report.Dropped {
		roots = append(roots, g.Root)
	}
	set := nameSet{}
	if err := c.s.addNamesOf(set, roots); err != nil {
		return err
	}
	_, err := c.s.learn(slices.Collect(maps.Keys(set)))
	return err
}

// remove deletes what is not needed any more: first the recipes, then index files that speak of
// dead packs, then those.
func (c *collection) remove(ctx context.Context) error {
	s := c.s
	if err := c.noteDropped(); err != nil {
		return err
	}
	if err := c.removeRecipes(); err != nil {
		return err
	}
	if err := c.removePacks(ctx); err != nil {
		return err
	}
	s.packs.Reload()
	s.packs.Tidy()
	return incoming.Sweep(ctx, s.w.fs, s.incomingDir(), incoming.None)
}

// removePacks deletes the packs that nothing needs, unless generations are being received. None
// begins to be received meanwhile: a transfer that begins later does not find the packs.
func (c *collection) removePacks(ctx context.Context) error {
	s := c.s
	if len(c.dead) == 0 {
		return nil
	}
	gate, n, err := incoming.Hold(ctx, s.w.fs, s.incomingDir())
	if err != nil {
		return err
	}
	defer gate.Close()
	if n > 0 { // begun since
		c.report.Transfers, c.report.Freed = n, 0
		return nil
	}
	if err := s.packs.DropIndex(c.dead); err != nil {
		// a pack of the same name may come back, with other chunks
		return err
	}
	if err := s.syncDirs("packs"); err != nil {
		return err
	}
	for _, name := range c.dead {
		if err := s.packs.Remove(name); err != nil {
			return err
		}
	}
	return s.syncDirs("packs")
}

// noteDropped notes which lines are not held on purpose from now on.
func (c *collection) noteDropped() error {
	if len(c.report.Dropped) == 0 || !c.h.Proven() {
		return nil
	}
	d, err := c.s.log.Dropped()
	if err != nil {
		return err
	}
	for _, g := range c.report.Dropped {
		d = d.With(g.Number, g.Number+1)
	}
	return c.s.log.SetDropped(d)
}

// removeRecipes deletes the recipes of dropped generations. None goes before those that are built
// on it, on the disk either: else what is left when this breaks off could not be read.
func (c *collection) removeRecipes() error {
	s := c.s
	level := make(map[merkle.Hash]int, len(c.report.Dropped))
	deepest := 0
	for _, g := range c.report.Dropped {
		kept, err := s.readBody(g.Root, 0)
		if errors.Is(err, ErrCorrupt) { // it can go at any time
			continue
		}
		if err != nil {
			return err
		}
		level[g.Root] = kept.depth
		deepest = max(deepest, kept.depth)
	}
	defer func() {
		s.mu.Lock()
		s.cache = recipeCache{}
		s.mu.Unlock()
	}()
	for depth := deepest; depth >= 0; depth-- {
		removed := false
		for _, g := range c.report.Dropped {
			if level[g.Root] != depth {
				continue
			}
			if err := s.w.fs.Remove(s.recipeName(g.Root)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			removed = true
		}
		if removed {
			if err := s.syncDirs("recipes"); err != nil {
				return err
			}
		}
	}
	return nil
}
