package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/dig-network/digstore/auth"
	"github.com/dig-network/digstore/digstore/module"
	"github.com/dig-network/digstore/merkle"
)

// A Preview describes what a clone or pull would install, as far as the origins say without a
// module.
type Preview struct {
	Store      auth.StoreID        `json:"store_id"`
	From       merkle.Hash         `json:"from"`       // the local head; zero: none
	Root       merkle.Hash         `json:"root"`       // the local head after the pull
	Generation uint64              `json:"generation"` // its number
	UpToDate   bool                `json:"up_to_date"` // Root is already the local head
	Lines      int                 `json:"lines"`      // to append to the history
	ToFetch    []PreviewGeneration `json:"coming"`     // the generations to fetch, in order
	Publisher  auth.PublicKey      `json:"publisher"`  // as the origin says; zero if unsigned
	Basis      Basis               `json:"basis,omitempty"`
	Unanchored bool                `json:"unanchored"` // see Report
	Unsigned   bool                `json:"unsigned"`   // see Report
	Checks     []PassedCheck       `json:"checks"`     // that passed; those of the module are not made
	Origins    []OriginReport      `json:"origins"`
}

// A PreviewGeneration is a generation that would be fetched.
type PreviewGeneration struct {
	Generation uint64      `json:"generation"`
	Root       merkle.Hash `json:"root"`
	Size       int64       `json:"size"`     // bytes of the module, as the origin says; -1: unknown
	Transfer   int64       `json:"transfer"` // bytes to receive; -1: unknown
	Recipe     bool        `json:"recipe"`   // as a recipe and the missing chunks
}

// Preview makes the checks of [Sync.Pull] that precede the first module, and returns what Pull
// would fetch. It reads the recipes of new generations if both sides support recipes. It stores
// nothing: no pins, tombstones or evidence. The errors are those of Pull.
func (s *Sync) Preview(ctx context.Context, to Local, from Origin) (*Preview, error) {
	v, err := s.newRun(ctx, to)
	if err != nil {
		return nil, err
	}
	v.to = readOnlyLocal{to}
	if err := v.prepare(ctx); err != nil {
		return nil, err
	}
	snapshots, err := v.readOrigins(ctx, from)
	if err != nil {
		return nil, err
	}
	best, err := v.selectOrigin(ctx, snapshots)
	if err != nil {
		return nil, err
	}
	v.reportOrigins(snapshots)
	p := &Preview{Store: v.store, From: v.head.Root, Root: v.head.Root, UpToDate: best.target == nil,
		Publisher:  v.pins.Publisher,
		Unanchored: v.required.IsZero(), Checks: best.checks, Origins: v.report.Origins,
		ToFetch: []PreviewGeneration{}}
	d, _ := v.downloader(best, snapshots)
	var lines []module.Generation
	if s.AllGenerations {
		if lines, err = v.local.lines(ctx); err != nil {
			return nil, err
		}
	}
	if t := best.target; t != nil {
		p.Root, p.Generation, p.Lines = t.line().Root, t.line().Number, len(t.lines)
		p.Publisher, p.Basis, p.Unsigned = t.key, t.basis, t.unsigned()
		if err := p.add(ctx, d, to, t.line(), t.size); err != nil {
			return nil, err
		}
		lines = append(lines[:len(lines):len(lines)], t.lines[:len(t.lines)-1]...)
	} else if g, ok, err := v.local.line(ctx, v.head.Root); err != nil {
		return nil, err
	} else if ok {
		p.Generation = g.Number
	}
	if !s.AllGenerations {
		return p, nil
	}
	seen := map[merkle.Hash]bool{p.Root: true}
	for _, g := range lines {
		if seen[g.Root] {
			continue
		}
		seen[g.Root] = true
		if err := p.add(ctx, d, to, g, 0); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// readOnlyLocal hides the optional interfaces of a Local, so that nothing is written through them.
type readOnlyLocal struct{ Local }

// add adds a generation unless it is held or the origin lacks it.
func (p *Preview) add(ctx context.Context, d *downloader, to Local, g module.Generation,
	size int64) error {
	held, err := has(ctx, to, g.Root)
	if held || err != nil {
		return err
	}
	c := PreviewGeneration{Generation: g.Number, Root: g.Root, Size: -1, Transfer: -1}
	if size > 0 {
		c.Size = size
	} else if m, ok := d.from.(RangeOrigin); ok {
		switch c.Size, err = m.Stat(ctx, g.Root); {
		case errors.Is(err, errors.ErrUnsupported):
			c.Size = -1
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrVerification):
			return nil // this origin does not have it
		case err != nil:
			return fmt.Errorf("remote: ask for the size of %s: %w", g.Root, err)
		}
	}
	if c.Transfer, c.Recipe, err = d.transferCost(ctx, to, g, c.Size); err != nil {
		return err
	}
	p.ToFetch = append(p.ToFetch, c)
	return nil
}

// transferCost returns how many bytes fetching a generation costs: by its recipe and missing chunks
// if that is less, else by the rest of the module.
func (d *downloader) transferCost(ctx context.Context, to Local, g module.Generation,
	size int64) (bytes int64, recipe bool, err error) {
	bytes = size
	if kept, ok := to.(Resumer); ok && size > 0 {
		held, err := kept.Held(ctx, g.Root)
		if err != nil {
			return 0, false, fmt.Errorf("remote: look for a part of %s: %w", g.Root, err)
		}
		bytes = max(0, size-held)
	}
	assembler, ok1 := to.(Assembler)
	from, ok2 := d.from.(RecipeOrigin)
	if !ok1 || !ok2 {
		return bytes, false, nil
	}
	bases, err := d.bases(ctx, assembler, g)
	if err != nil || len(bases) == 0 {
		return bytes, false, err
	}
	answer, err := from.OpenRecipe(ctx, g.Root, bases)
	switch {
	case errors.Is(err, ErrTooLarge):
		return bytes, false, nil
	case err != nil:
		return 0, false, fmt.Errorf("remote: fetch recipe of %s: %w", g.Root, err)
	case answer.Recipe == nil:
		return bytes, false, answer.Module.Close()
	}
	a := &assembly{from: from, recipe: answer.Recipe,
		offsets: answer.Recipe.Offsets(), done: answer.Size}
	if err := a.find(ctx, assembler); err != nil {
		return 0, false, err
	}
	if by := answer.Size + a.cost(); bytes < 0 || by < bytes {
		return by, true, nil
	}
	return bytes, false, nil
}
